#include "hsm/rsa_decrypt.hpp"

#include "base/error.hpp"
#include "base/secret.hpp"
#include "crypto/rsa_block.hpp"
#include "hsm/mechanism.hpp"
#include "pkcs11/one_shot.hpp"
#include "pkcs11/token.hpp"

namespace trustpoint::hsm {
namespace {

using base::Error;
using base::ErrorCode;
using crypto::RsaPadding;
using pkcs11::Session;

void CheckDecrypts(const TokenKey& key) {
  if (key.type != crypto::KeyType::kRsa)
    throw Error(
        ErrorCode::kInvalidArgument,
        std::string(key.type == crypto::KeyType::kEc ? "an EC" : "an AES") + " key does not decrypt by RSA",
        {}, "Use an RSA key that was made with usage 'decrypt'.");
  key.RequirePrivate();
  if (!key.can_decrypt)
    throw Error(ErrorCode::kInvalidArgument, "the key \"" + key.label + "\" is not for decryption", {},
                "A key signs or decrypts, never both: use one that was made with usage 'decrypt'.");
}

// The one error for everything that is wrong with a ciphertext: more would tell of its content.
[[noreturn]] void ThrowNotDecrypted() {
  throw Error(ErrorCode::kAuthenticationFailed,
              "decryption failed: wrong key, wrong padding or changed bytes");
}

// Which of its ways a token offers for the padding.
enum class Way : std::uint8_t { kOwn, kRaw };

Way WayFor(Session& session, RsaPadding padding) {
  const CK_MECHANISM_TYPE own = padding == RsaPadding::kPkcs1 ? CKM_RSA_PKCS : CKM_RSA_PKCS_OAEP;
  const bool has_own = pkcs11::HasMechanism(session.module(), session.slot(), own, CKF_DECRYPT);
  // SoftHSM lists OAEP and does it with SHA-1 alone.
  const bool sure = padding == RsaPadding::kPkcs1 || padding == RsaPadding::kOaepSha1;
  if (has_own && sure) return Way::kOwn;
  if (pkcs11::HasMechanism(session.module(), session.slot(), CKM_RSA_X_509, CKF_DECRYPT)) return Way::kRaw;
  if (!has_own) pkcs11::RequireMechanism(session, own, CKF_DECRYPT);  // throws
  return Way::kOwn;
}

std::size_t DecryptByToken(Session& session, const TokenKey& key, RsaPadding padding, base::Bytes ciphertext,
                           base::MutableBytes out, base::Bytes label) {
  const crypto::Hash hash = crypto::OaepHash(padding);
  CK_RSA_PKCS_OAEP_PARAMS parameters = {MechanismOf(hash), MaskOf(hash), CKZ_DATA_SPECIFIED,
                                        const_cast<std::uint8_t*>(label.data()), label.size()};
  const std::string name = "CKM_RSA_PKCS_OAEP with " + UpperName(hash);
  pkcs11::NamedMechanism mechanism = {{CKM_RSA_PKCS, nullptr, 0}};
  if (padding != RsaPadding::kPkcs1) mechanism = {{CKM_RSA_PKCS_OAEP, &parameters, sizeof parameters}, name};
  const auto size = pkcs11::DecryptOnce(session, mechanism, key.secret, ciphertext, out);
  if (!size) ThrowNotDecrypted();
  return *size;
}

std::size_t DecryptRaw(Session& session, const TokenKey& key, RsaPadding padding, base::Bytes ciphertext,
                       base::MutableBytes out, base::Bytes label) {
  base::Secret raw(kMaxRsaBlockSize), block(ciphertext.size());
  const auto size =
      pkcs11::DecryptOnce(session, {{CKM_RSA_X_509, nullptr, 0}}, key.secret, ciphertext, raw.bytes());
  if (!size || *size > block.size()) ThrowNotDecrypted();
  // Some modules leave the zeros at the front out.
  base::Copy(block.bytes().last(*size), raw.view().first(*size));
  const auto length = crypto::UnpadRsaBlock(padding, block.view(), out, label);
  if (!length) ThrowNotDecrypted();
  return *length;
}

}  // namespace

std::size_t RsaDecrypt(Session& session, const TokenKey& key, RsaPadding padding, base::Bytes ciphertext,
                       base::MutableBytes out, base::Bytes label) {
  CheckDecrypts(key);
  if (out.size() < kMaxRsaBlockSize) throw Error(ErrorCode::kInternal, "no room for an RSA plaintext");
  const Way way = WayFor(session, padding);
  if (ciphertext.size() != (key.bits + 7) / 8 || ciphertext.size() > kMaxRsaBlockSize) ThrowNotDecrypted();
  return way == Way::kOwn ? DecryptByToken(session, key, padding, ciphertext, out, label)
                          : DecryptRaw(session, key, padding, ciphertext, out, label);
}

}  // namespace trustpoint::hsm
