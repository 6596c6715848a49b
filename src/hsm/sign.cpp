#include "hsm/sign.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "crypto/ecdsa.hpp"
#include "crypto/rsa_block.hpp"
#include "hsm/mechanism.hpp"
#include "pkcs11/one_shot.hpp"

namespace trustpoint::hsm {
namespace {

using base::Error;
using base::ErrorCode;
using crypto::Scheme;
using pkcs11::Session;

constexpr std::size_t kMaxEcdsaRawSize = 2 * 66;

CK_MECHANISM_TYPE RawMechanism(Scheme scheme) {
  switch (scheme) {
    case Scheme::kRsaPss:
      return CKM_RSA_PKCS_PSS;
    case Scheme::kRsaPkcs1:
      return CKM_RSA_PKCS;
    case Scheme::kEcdsa:
      break;
  }
  return CKM_ECDSA;
}

void CheckSigns(const TokenKey& key) {
  if (key.type == crypto::KeyType::kAes)
    throw Error(ErrorCode::kInvalidArgument, "an AES key does not sign", {}, "Use an RSA or EC key.");
  key.RequirePrivate();
  if (!key.can_sign)
    throw Error(ErrorCode::kInvalidArgument, "the key \"" + key.label + "\" is not for signatures", {},
                "A key signs or decrypts, never both: use one that was made with usage 'sign'.");
}

// Asked once for a key: the answer is as good as its handle.
void CheckSupported(Session& session, const TokenKey& key, Scheme scheme) {
  const unsigned bit = 1U << static_cast<unsigned>(scheme);
  if ((key.supported & bit) != 0) return;
  pkcs11::RequireMechanism(session, RawMechanism(scheme), CKF_SIGN);
  key.supported |= bit;
}

[[noreturn]] void ThrowOddSize() {
  throw Error(ErrorCode::kTokenRefused, "the token gave a signature of a size that its key cannot make");
}

std::size_t SignRsa(Session& session, const TokenKey& key, pkcs11::NamedMechanism mechanism,
                    base::Bytes input, base::MutableBytes out) {
  const std::size_t size = pkcs11::SignOnce(session, mechanism, key.secret, input, out);
  if (key.bits != 0 && size != (key.bits + 7) / 8) ThrowOddSize();
  return size;
}

// A block of PSS holds the digest, a salt of its size and two bytes more; tokens only call that a general
// error. It is of one bit less than the modulus.
void CheckRoomForPss(const TokenKey& key, const crypto::Digest& digest) {
  const std::size_t room = (key.bits + 6) / 8, needed = 2U * digest.size + 2U;
  if (key.bits != 0 && room < needed)
    throw Error(ErrorCode::kInvalidArgument,
                "the key \"" + key.label + "\" of " + std::to_string(key.bits) + " bits is too short for " +
                    crypto::SignatureAlgorithmName({Scheme::kRsaPss, digest.hash}),
                "The signature takes " + std::to_string(needed) + " bytes, and the key has room for " +
                    std::to_string(room) + ".",
                "Use a shorter hash, or a longer key.");
}

std::size_t SignPss(Session& session, const TokenKey& key, const crypto::Digest& digest,
                    base::MutableBytes out) {
  CheckRoomForPss(key, digest);
  CK_RSA_PKCS_PSS_PARAMS parameters = {MechanismOf(digest.hash), MaskOf(digest.hash), digest.size};
  const std::string name = "CKM_RSA_PKCS_PSS with " + UpperName(digest.hash);
  return SignRsa(session, key, {{CKM_RSA_PKCS_PSS, &parameters, sizeof parameters}, name}, digest.view(),
                 out);
}

std::size_t SignPkcs1(Session& session, const TokenKey& key, const crypto::Digest& digest,
                      base::MutableBytes out) {
  base::Block<crypto::kMaxDigestInfoSize> info;
  const std::size_t size = crypto::WriteDigestInfo(digest, info);
  return SignRsa(session, key, {{CKM_RSA_PKCS, nullptr, 0}}, base::Bytes(info).first(size), out);
}

std::size_t SignEcdsa(Session& session, const TokenKey& key, const crypto::Digest& digest,
                      base::MutableBytes out) {
  // A longer hash counts with its first bytes alone; not every module cuts it itself.
  const std::size_t curve_size = crypto::CurveSize(key.curve);
  const base::Bytes input = digest.view().first(std::min<std::size_t>(digest.size, curve_size));
  base::Block<kMaxEcdsaRawSize> raw;
  const std::size_t size = pkcs11::SignOnce(session, {{CKM_ECDSA, nullptr, 0}}, key.secret, input, raw);
  if (size != 2 * curve_size) ThrowOddSize();
  return crypto::EcdsaRawToDer(base::Bytes(raw).first(size), out);
}

crypto::Signer SignerOf(Session& session, const TokenKey& key, crypto::SignatureAlgorithm algorithm) {
  return [&session, &key, algorithm](const crypto::Digest& digest) {
    std::vector<std::uint8_t> signature(kMaxSignatureSize);
    signature.resize(Sign(session, key, algorithm, digest, signature));
    return signature;
  };
}

}  // namespace

crypto::SignatureAlgorithm ChooseAlgorithm(const TokenKey& key, std::optional<std::string_view> name) {
  if (key.type == crypto::KeyType::kAes)
    throw Error(ErrorCode::kInvalidArgument, "an AES key does not sign", {}, "Use an RSA or EC key.");
  if (!name) return crypto::DefaultAlgorithm(key.type, key.curve);
  const auto algorithm = crypto::SignatureAlgorithmFromName(*name);
  if (!algorithm)
    throw Error(ErrorCode::kInvalidArgument, "unknown signature algorithm", {},
                "Algorithms are: " + std::string(crypto::kSignatureAlgorithmNames) + ".");
  crypto::CheckAlgorithm(*algorithm, key.type);
  return *algorithm;
}

std::size_t Sign(Session& session, const TokenKey& key, crypto::SignatureAlgorithm algorithm,
                 const crypto::Digest& digest, base::MutableBytes out) {
  CheckSigns(key);
  crypto::CheckAlgorithm(algorithm, key.type);
  if (digest.hash != algorithm.hash || out.size() < kMaxSignatureSize)
    throw Error(ErrorCode::kInternal, "a signature with a digest or a buffer that does not fit");
  CheckSupported(session, key, algorithm.scheme);
  switch (algorithm.scheme) {
    case Scheme::kRsaPss:
      return SignPss(session, key, digest, out);
    case Scheme::kRsaPkcs1:
      return SignPkcs1(session, key, digest, out);
    case Scheme::kEcdsa:
      break;
  }
  return SignEcdsa(session, key, digest, out);
}

std::vector<std::uint8_t> MakeRequest(Session& session, const TokenKey& key,
                                      crypto::SignatureAlgorithm algorithm,
                                      const crypto::CertificateContent& content) {
  CheckSigns(key);
  return crypto::BuildRequest(key.RequirePublic(), algorithm, content, SignerOf(session, key, algorithm));
}

std::vector<std::uint8_t> MakeSelfSigned(Session& session, const TokenKey& key,
                                         crypto::SignatureAlgorithm algorithm,
                                         const crypto::CertificateContent& content,
                                         const crypto::SelfSigned& options) {
  CheckSigns(key);
  return crypto::BuildSelfSigned(key.RequirePublic(), algorithm, content, options,
                                 SignerOf(session, key, algorithm));
}

}  // namespace trustpoint::hsm
