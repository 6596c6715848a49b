#include "crypto/public_key.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <cstring>

#include "base/error.hpp"
#include "crypto/decode_key.hpp"
#include "crypto/good_key.hpp"
#include "crypto/openssl.hpp"
#include "crypto/pem.hpp"

namespace trustpoint::crypto {
namespace {

using base::Error;
using base::ErrorCode;
using Context = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

constexpr std::string_view kNoPem = "the text is no public key in PEM";
constexpr const char* kGroupNames[] = {"prime256v1", "secp384r1", "secp521r1", "secp256k1"};

[[noreturn]] void ThrowBadKey(std::string_view why) {
  ThrowIfOutOfMemory();
  throw Error(ErrorCode::kInvalidArgument, why, {},
              "Give an RSA key, or an EC key on P-256, P-384, P-521 or secp256k1, as SubjectPublicKeyInfo: "
              "-----BEGIN PUBLIC KEY-----.");
}

using Number = Owned<BIGNUM, BN_free>;

Number NumberOf(const EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &number) != 1) ThrowBadKey("the public key is not valid");
  return Number(number);
}

// Not whether the modulus is prime, as OpenSSL would look, which takes longer than all else.
void CheckRsa(const EVP_PKEY* key, unsigned bits) {
  if (bits < kMinRsaBits || bits > kMaxRsaBits)
    ThrowBadKey("an RSA key must have 1024 to 16384 bits, not " + std::to_string(bits));
  const Number modulus = NumberOf(key, OSSL_PKEY_PARAM_RSA_N);
  const Number exponent = NumberOf(key, OSSL_PKEY_PARAM_RSA_E);
  if (!BN_is_odd(modulus.get()) || !BN_is_odd(exponent.get()) || BN_is_one(exponent.get()) ||
      BN_cmp(exponent.get(), modulus.get()) >= 0)
    ThrowBadKey("the public key is not valid");
  // OpenSSL would neither encrypt nor verify with it.
  if (bits > OPENSSL_RSA_SMALL_MODULUS_BITS && BN_num_bits(exponent.get()) > OPENSSL_RSA_MAX_PUBEXP_BITS)
    ThrowBadKey("the public exponent of an RSA key of more than 3072 bits must have 64 bits at most");
}

Context ContextFor(const EVP_PKEY* key) {
  Context context(EVP_PKEY_CTX_new_from_pkey(Library(), const_cast<EVP_PKEY*>(key), nullptr));
  if (context == nullptr) ThrowNotOffered("could not use a public key");
  return context;
}

EVP_PKEY* ReadWhole(base::Bytes der, std::string_view why_none) {
  DecodedKey decoded = DecodeKey(der, KeyForm::kPublic);
  if (decoded.other_type) ThrowBadKey("the key is neither RSA nor EC");
  if (decoded.key == nullptr || decoded.size != der.size()) ThrowBadKey(why_none);
  return decoded.key.release();
}

// The key of these parameters.
Key FromParameters(const char* type, OSSL_PARAM_BLD* builder) {
  const Owned<OSSL_PARAM, OSSL_PARAM_free> parameters(OSSL_PARAM_BLD_to_param(builder));
  if (parameters == nullptr) ThrowOpenSsl("could not build a public key");
  bool begun = false;
  Key made;
  InNewLibraryToo([&](OSSL_LIB_CTX* library) {
    const Context context(EVP_PKEY_CTX_new_from_name(library, type, nullptr));
    begun = context != nullptr && EVP_PKEY_fromdata_init(context.get()) == 1;
    const auto from = [&](OSSL_PARAM* numbers) {
      EVP_PKEY* key = nullptr;
      if (begun) EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, numbers);
      return key;
    };
    return ReadsOrRefuses(
        &made, [&] { return from(parameters.get()); }, [&] { return from(GoodPublicNumbers(type).data()); });
  });
  if (!begun) ThrowOpenSsl("could not build a public key");
  if (made == nullptr) ThrowBadKey("the numbers are no public key");
  return made;
}

bool SetScheme(EVP_PKEY_CTX* context, SignatureAlgorithm algorithm) {
  const EVP_MD* hash = FetchedDigest(algorithm.hash);
  if (EVP_PKEY_CTX_set_signature_md(context, hash) != 1) return false;
  switch (algorithm.scheme) {
    case Scheme::kEcdsa:
      return true;
    case Scheme::kRsaPkcs1:
      return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
    case Scheme::kRsaPss:
      return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_mgf1_md(context, hash) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_AUTO) == 1;
  }
  return false;
}

}  // namespace

std::optional<Curve> CurveOf(const EVP_PKEY* key) {
  char name[64] = "";
  std::size_t size = 0;
  if (EVP_PKEY_get_group_name(key, name, sizeof name, &size) == 1)
    for (std::size_t i = 0; i < std::size(kGroupNames); ++i)
      if (std::strcmp(name, kGroupNames[i]) == 0) return static_cast<Curve>(i);
  return std::nullopt;
}

void PublicKey::Free::operator()(evp_pkey_st* key) const noexcept { EVP_PKEY_free(key); }

PublicKey::PublicKey(evp_pkey_st* key) : key_(key) {
  if (IsOfType(key, "RSA")) {
    bits_ = static_cast<unsigned>(EVP_PKEY_get_bits(key));
    CheckRsa(key, bits_);
  } else if (IsOfType(key, "EC")) {
    type_ = KeyType::kEc;
    const auto curve = CurveOf(key);
    if (!curve) ThrowBadKey("the curve of the key is not on the list");
    curve_ = *curve;
    bits_ = CurveBits(curve_);
    if (EVP_PKEY_public_check_quick(ContextFor(key).get()) != 1) ThrowBadKey("the public key is not valid");
  } else {
    ThrowBadKey("the key is neither RSA nor EC");
  }
}

PublicKey::~PublicKey() = default;

bool SetRsaPadding(EVP_PKEY_CTX* context, RsaPadding padding, base::Bytes label) {
  if (padding == RsaPadding::kPkcs1) return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1;
  const EVP_MD* hash = FetchedDigest(OaepHash(padding));
  if (EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) != 1 ||
      EVP_PKEY_CTX_set_rsa_oaep_md(context, hash) != 1 || EVP_PKEY_CTX_set_rsa_mgf1_md(context, hash) != 1)
    return false;
  if (label.empty()) return true;
  void* copy = OPENSSL_memdup(label.data(), label.size());  // the context's, once it has taken it
  if (copy != nullptr && EVP_PKEY_CTX_set0_rsa_oaep_label(context, copy, static_cast<int>(label.size())) == 1)
    return true;
  OPENSSL_free(copy);
  return false;
}

PublicKey PublicKey::FromPem(std::string_view pem) {
  const CleanErrors errors;
  if (pem.size() > kMaxPemSize) ThrowBadKey(kNoPem);
  const std::optional<PemBlock> block = FindPem(pem, "PUBLIC KEY");
  // PKCS#1's are named "RSA PUBLIC KEY". A header says that the block is encrypted, which no public key is.
  if (!block || block->name != "PUBLIC KEY" || !block->header.empty()) ThrowBadKey(kNoPem);
  return PublicKey(ReadWhole(block->der.view(), kNoPem));
}

PublicKey PublicKey::FromDer(base::Bytes der) {
  const CleanErrors errors;
  return PublicKey(ReadWhole(der, "the bytes are no public key in DER"));
}

PublicKey PublicKey::FromRsa(base::Bytes modulus, base::Bytes exponent) {
  const CleanErrors errors;
  const Number n(BN_bin2bn(modulus.data(), static_cast<int>(modulus.size()), nullptr));
  const Number e(BN_bin2bn(exponent.data(), static_cast<int>(exponent.size()), nullptr));
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
  if (n == nullptr || e == nullptr || builder == nullptr ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    ThrowOpenSsl("could not build a public key");
  return PublicKey(FromParameters("RSA", builder.get()).release());
}

PublicKey PublicKey::FromEc(Curve curve, base::Bytes point) {
  const CleanErrors errors;
  const std::size_t bare = 1 + 2 * CurveSize(curve);
  // 04 is the tag of an OCTET STRING and the mark of a point alike, so only the length tells them apart.
  const std::size_t head = bare < 128 ? 2 : 3;
  if (point.size() == head + bare && point[0] == 0x04 && point[head - 1] == bare &&
      (head == 2 || point[1] == 0x81))
    point = point.subspan(head);
  if (point.size() != bare || point[0] != 0x04)
    ThrowBadKey("the point of the EC key has not the size of its curve");
  const Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free> builder(OSSL_PARAM_BLD_new());
  if (builder == nullptr ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME,
                                      kGroupNames[static_cast<std::size_t>(curve)], 0) != 1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) !=
          1)
    ThrowOpenSsl("could not build a public key");
  return PublicKey(FromParameters("EC", builder.get()).release());
}

std::vector<std::uint8_t> PublicKey::Der() const {
  const CleanErrors errors;
  const int size = i2d_PUBKEY(key_.get(), nullptr);
  if (size <= 0) ThrowOpenSsl("could not encode a public key");
  std::vector<std::uint8_t> der(static_cast<std::size_t>(size));
  std::uint8_t* end = der.data();
  if (i2d_PUBKEY(key_.get(), &end) != size) ThrowOpenSsl("could not encode a public key");
  return der;
}

bool PublicKey::Verify(SignatureAlgorithm algorithm, const Digest& digest, base::Bytes signature) const {
  CheckAlgorithm(algorithm, type_);
  if (digest.hash != algorithm.hash) throw Error(ErrorCode::kInternal, "the digest is of another hash");
  // RFC 8017 wants the length of the modulus; OpenSSL also takes a signature whose leading zero bytes are
  // missing.
  if (type_ == KeyType::kRsa && signature.size() != (bits_ + 7) / 8) return false;
  const CleanErrors errors;
  const Context context = ContextFor(key_.get());
  if (EVP_PKEY_verify_init(context.get()) != 1 || !SetScheme(context.get(), algorithm))
    ThrowNotOffered("could not verify a signature");
  if (EVP_PKEY_verify(context.get(), signature.data(), signature.size(), digest.bytes.data(), digest.size) ==
      1)
    return true;
  ThrowIfOutOfMemory();
  return false;
}

std::vector<std::uint8_t> PublicKey::Encrypt(RsaPadding padding, base::Bytes data, base::Bytes label) const {
  if (type_ != KeyType::kRsa)
    throw Error(ErrorCode::kInvalidArgument, "an EC key does not encrypt", {}, "Use an RSA key.");
  const std::size_t most = MaxRsaPlaintext(padding, bits_);
  if (most == 0)
    throw Error(ErrorCode::kInvalidArgument, "an RSA key of " + std::to_string(bits_) +
                                                 " bits is too short for " + RsaPaddingName(padding));
  if (data.size() > most)
    throw Error(ErrorCode::kTooLarge, "an RSA key of " + std::to_string(bits_) + " bits encrypts " +
                                          std::to_string(most) + " bytes at most with " +
                                          RsaPaddingName(padding));
  const CleanErrors errors;
  static constexpr std::uint8_t kNothing = 0;  // OpenSSL wants an address for no bytes too
  const Context context = ContextFor(key_.get());
  std::vector<std::uint8_t> out((bits_ + 7) / 8);
  std::size_t size = out.size();
  if (EVP_PKEY_encrypt_init(context.get()) != 1 || !SetRsaPadding(context.get(), padding, label) ||
      EVP_PKEY_encrypt(context.get(), out.data(), &size, data.empty() ? &kNothing : data.data(),
                       data.size()) != 1)
    ThrowNotOffered("RSA encryption failed");
  out.resize(size);
  return out;
}

void CheckAlgorithm(SignatureAlgorithm algorithm, KeyType type) {
  if (algorithm.key_type() == type) return;
  throw Error(
      ErrorCode::kInvalidArgument,
      "the algorithm " + SignatureAlgorithmName(algorithm) + " is not for " + KeyTypeName(type) + " keys", {},
      "Algorithms are: " + std::string(kSignatureAlgorithmNames) + ".");
}

}  // namespace trustpoint::crypto
