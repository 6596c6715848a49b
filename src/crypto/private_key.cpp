#include "crypto/private_key.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "crypto/decode_key.hpp"
#include "crypto/openssl.hpp"
#include "crypto/pem.hpp"
#include "crypto/pem_encryption.hpp"

namespace trustpoint::crypto {
namespace {

using base::Error;
using base::ErrorCode;
using base::Secret;
using Number = Owned<BIGNUM, BN_clear_free>;

constexpr unsigned kUnevenBits = 64;  // by which a prime may be longer than half the modulus

[[noreturn]] void ThrowNoKey(std::string_view why, std::string_view hint = {}) {
  ThrowIfOutOfMemory();
  throw Error(ErrorCode::kInvalidArgument, why, {}, hint);
}

[[noreturn]] void ThrowNothing() {
  ThrowNoKey(
      "the text holds no private key in PEM",
      "PKCS#1, SEC 1 and PKCS#8 are read, each also encrypted: -----BEGIN PRIVATE KEY----- and the like.");
}

struct Kind {
  std::string_view name;
  KeyForm form;
  bool header;  // may have one, which encrypts it: OpenSSL itself takes it with any kind, also around PKCS#8
};
constexpr Kind kKinds[] = {{"PRIVATE KEY", KeyForm::kPkcs8, false},
                           {kEncryptedPkcs8, KeyForm::kPkcs8, false},
                           {"RSA PRIVATE KEY", KeyForm::kPkcs1, true},
                           {"EC PRIVATE KEY", KeyForm::kSec1, true}};

const Kind& KindOf(const PemBlock& block) {
  const auto* const kind = std::ranges::find(kKinds, block.name, &Kind::name);
  if (kind == std::end(kKinds) || (!kind->header && !block.header.empty())) ThrowNothing();
  return *kind;
}

// Layer by layer, each judged before OpenSSL takes it off.
Key ReadPem(std::string_view pem, std::optional<base::Bytes> passphrase) {
  if (pem.size() > kMaxPemSize) ThrowNoKey("the text is too long for a private key in PEM");
  std::optional<PemBlock> block = FindPem(pem, "PRIVATE KEY");
  if (!block) ThrowNothing();
  const Kind& kind = KindOf(*block);
  const bool encrypted = IsEncrypted(*block);
  if (encrypted && !passphrase) ThrowNoKey("the private key is encrypted", "Give its passphrase.");
  DecodedKey decoded;
  if (!encrypted || Decrypt(&*block, *passphrase)) decoded = DecodeKey(block->der.view(), kind.form);
  if (decoded.other_type) ThrowNoKey("the private key is neither RSA nor EC");
  if (decoded.key != nullptr) {
    RequireRandom();
    return std::move(decoded.key);
  }
  if (!encrypted) ThrowNothing();
  ThrowNoKey("the private key does not decrypt: the passphrase is wrong or the text damaged");
}

Number ReadNumber(const EVP_PKEY* key, const char* name) {
  BIGNUM* number = nullptr;
  if (EVP_PKEY_get_bn_param(key, name, &number) == 1) return Number(number);
  if (!IsOfType(key, "RSA")) ThrowNoKey("the number or the point of the EC key is none of its curve");
  ThrowNoKey("the private key lacks some of its numbers",
             "An RSA key must hold its primes: 'openssl rsa' writes a whole one.");
}

std::vector<std::uint8_t> PublicNumber(const EVP_PKEY* key, const char* name) {
  const Number number = ReadNumber(key, name);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(BN_num_bytes(number.get())));
  BN_bn2bin(number.get(), bytes.data());
  return bytes;
}

// size 0: as long as the number is.
Secret SecretNumber(const EVP_PKEY* key, const char* name, std::size_t size = 0) {
  const Number number = ReadNumber(key, name);
  Secret bytes(std::max(size, static_cast<std::size_t>(BN_num_bytes(number.get()))));
  BN_bn2binpad(number.get(), bytes.bytes().data(), static_cast<int>(bytes.size()));
  return bytes;
}

// Before anything is calculated with them: a prime test of a number that fills the text takes hours.
void CheckRsaSizes(const EVP_PKEY* key, unsigned bits) {
  const auto fits = [&](const char* name, unsigned most) {
    return static_cast<unsigned>(BN_num_bits(ReadNumber(key, name).get())) <= most;
  };
  for (const char* name : {OSSL_PKEY_PARAM_RSA_E, OSSL_PKEY_PARAM_RSA_D})
    if (!fits(name, bits)) ThrowNoKey("the numbers of the private key do not belong together");
  for (const char* name :
       {OSSL_PKEY_PARAM_RSA_FACTOR1, OSSL_PKEY_PARAM_RSA_FACTOR2, OSSL_PKEY_PARAM_RSA_EXPONENT1,
        OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1})
    if (!fits(name, bits / 2 + kUnevenBits)) ThrowNoKey("the primes of an RSA key must be of one size");
}

void TakeRsa(const EVP_PKEY* key, PrivateKey* out) {
  if (out->bits != 2048 && out->bits != 3072 && out->bits != 4096)
    ThrowNoKey("an RSA key of " + std::to_string(out->bits) + " bits is not taken in",
               "Use 2048, 3072 or 4096 bits.");
  CheckRsaSizes(key, out->bits);
  BIGNUM* third = nullptr;
  if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_FACTOR3, &third) == 1) {
    BN_clear_free(third);
    ThrowNoKey("an RSA key of more than two primes is not taken in");
  }
  out->modulus = PublicNumber(key, OSSL_PKEY_PARAM_RSA_N);
  out->exponent = PublicNumber(key, OSSL_PKEY_PARAM_RSA_E);
  out->private_exponent = SecretNumber(key, OSSL_PKEY_PARAM_RSA_D);
  out->prime_1 = SecretNumber(key, OSSL_PKEY_PARAM_RSA_FACTOR1);
  out->prime_2 = SecretNumber(key, OSSL_PKEY_PARAM_RSA_FACTOR2);
  out->exponent_1 = SecretNumber(key, OSSL_PKEY_PARAM_RSA_EXPONENT1);
  out->exponent_2 = SecretNumber(key, OSSL_PKEY_PARAM_RSA_EXPONENT2);
  out->coefficient = SecretNumber(key, OSSL_PKEY_PARAM_RSA_COEFFICIENT1);
}

void TakeEc(const EVP_PKEY* key, PrivateKey* out) {
  out->scalar = SecretNumber(key, OSSL_PKEY_PARAM_PRIV_KEY, CurveSize(out->curve));
  const Number x = ReadNumber(key, OSSL_PKEY_PARAM_EC_PUB_X), y = ReadNumber(key, OSSL_PKEY_PARAM_EC_PUB_Y);
  const int size = static_cast<int>(CurveSize(out->curve));
  out->point.resize(1 + 2 * CurveSize(out->curve));
  out->point[0] = 0x04;
  if (BN_bn2binpad(x.get(), out->point.data() + 1, size) != size ||
      BN_bn2binpad(y.get(), out->point.data() + 1 + size, size) != size)
    ThrowOpenSsl("could not read the point of an EC key");
}

}  // namespace

PublicKey PrivateKey::Public() const {
  return type == KeyType::kRsa ? PublicKey::FromRsa(modulus, exponent) : PublicKey::FromEc(curve, point);
}

PrivateKey ReadPrivateKey(std::string_view pem, std::optional<base::Bytes> passphrase) {
  const CleanErrors errors;
  const Key key = ReadPem(pem, passphrase);
  PrivateKey taken;
  if (IsOfType(key.get(), "RSA")) {
    taken.bits = static_cast<unsigned>(EVP_PKEY_get_bits(key.get()));
    TakeRsa(key.get(), &taken);
  } else if (IsOfType(key.get(), "EC")) {
    taken.type = KeyType::kEc;
    const auto curve = CurveOf(key.get());
    if (!curve)
      ThrowNoKey("the curve of the key is not on the list", "Curves are P-256, P-384, P-521 and secp256k1.");
    taken.curve = *curve;
    taken.bits = CurveBits(taken.curve);
    TakeEc(key.get(), &taken);
  } else {
    ThrowNoKey("the private key is neither RSA nor EC");
  }
  const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> check(
      EVP_PKEY_CTX_new_from_pkey(Library(), key.get(), nullptr));
  if (check == nullptr || EVP_PKEY_check(check.get()) != 1)
    ThrowNoKey("the numbers of the private key do not belong together");
  return taken;
}

Secret DecryptWithPem(std::string_view pem, std::optional<base::Bytes> passphrase, RsaPadding padding,
                      base::Bytes ciphertext, base::Bytes label) {
  const CleanErrors errors;
  const Key key = ReadPem(pem, passphrase);
  if (!IsOfType(key.get(), "RSA")) ThrowNoKey("the private key is not RSA");
  const auto bits = static_cast<unsigned>(EVP_PKEY_get_bits(key.get()));
  if (bits > kMaxRsaBits) ThrowNoKey("an RSA key of " + std::to_string(bits) + " bits is not used");
  CheckRsaSizes(key.get(), bits);
  const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(
      EVP_PKEY_CTX_new_from_pkey(Library(), key.get(), nullptr));
  if (context == nullptr || EVP_PKEY_decrypt_init(context.get()) != 1 ||
      !SetRsaPadding(context.get(), padding, label))
    ThrowNotOffered("could not decrypt by RSA");
  Secret block(static_cast<std::size_t>(EVP_PKEY_get_size(key.get())));
  std::size_t size = block.size();
  if (EVP_PKEY_decrypt(context.get(), block.bytes().data(), &size, ciphertext.data(), ciphertext.size()) != 1)
    throw Error(ErrorCode::kAuthenticationFailed,
                "decryption failed: wrong key, wrong padding or changed bytes");
  return Secret(block.view().first(size));
}

}  // namespace trustpoint::crypto
