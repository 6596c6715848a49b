// Private keys that would keep the process busy for hours: refused before anything is calculated with them.
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>

#include <cstring>

#include "crypto/private_key.hpp"
#include "unit/crypto_fixture.hpp"

namespace trustpoint::crypto {
namespace {

using base::ErrorCode;
using test::Written;

constexpr const char* kPassphrase = "correct horse";

std::string MessageOf(const std::string& pem) {
  std::string message = "read";
  try {
    ReadPrivateKey(pem, base::AsBytes(kPassphrase));
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    message = error.what();
  }
  const auto decrypt = [&] {
    DecryptWithPem(pem, base::AsBytes(kPassphrase), RsaPadding::kOaepSha256, base::AsBytes("none"), {});
  };
  EXPECT_EQ(test::CodeOf(decrypt), ErrorCode::kInvalidArgument) << message;
  return message;
}

// An encrypted key whose parameters are these: nothing was derived to make it. With another name it is
// encrypted once more, as PKCS#1 and SEC 1 are.
std::string Encrypted(X509_ALGOR* parameters, const char* name = nullptr) {
  EXPECT_NE(parameters, nullptr);
  X509_SIG* encrypted = X509_SIG_new();
  X509_ALGOR* algorithm = nullptr;
  ASN1_OCTET_STRING* bytes = nullptr;
  X509_SIG_getm(encrypted, &algorithm, &bytes);
  X509_ALGOR_copy(algorithm, parameters);
  X509_ALGOR_free(parameters);
  ASN1_OCTET_STRING_set(bytes, reinterpret_cast<const unsigned char*>("0123456789abcdef"), 16);
  const std::string pem = Written([&](BIO* bio) {
    if (name == nullptr) return PEM_write_bio_PKCS8(bio, encrypted);
    return PEM_ASN1_write_bio(reinterpret_cast<i2d_of_void*>(i2d_X509_SIG), name, bio, encrypted,
                              EVP_aes_256_cbc(), reinterpret_cast<const unsigned char*>(kPassphrase),
                              static_cast<int>(std::strlen(kPassphrase)), nullptr, nullptr);
  });
  X509_SIG_free(encrypted);
  return pem;
}

unsigned char kSalt[] = "salt 123";

X509_ALGOR* Pbkdf2(int iterations) {
  return PKCS5_pbe2_set_iv(EVP_aes_256_cbc(), iterations, kSalt, 8, nullptr, -1);
}
X509_ALGOR* Before(int iterations) {
  return PKCS5_pbe_set(NID_pbe_WithSHA1And3_Key_TripleDES_CBC, iterations, kSalt, 8);
}
// OpenSSL makes none that it would not open, so the number is set afterwards.
X509_ALGOR* Scrypt(std::uint64_t parallel) {
  X509_ALGOR* algorithm = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), kSalt, 8, nullptr, 1024, 1, 1);
  auto* both =
      static_cast<PBE2PARAM*>(ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBE2PARAM), algorithm->parameter));
  auto* scrypt = static_cast<SCRYPT_PARAMS*>(
      ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(SCRYPT_PARAMS), both->keyfunc->parameter));
  ASN1_INTEGER_set_uint64(scrypt->parallelizationParameter, parallel);
  ASN1_TYPE_pack_sequence(ASN1_ITEM_rptr(SCRYPT_PARAMS), scrypt, &both->keyfunc->parameter);
  ASN1_TYPE_pack_sequence(ASN1_ITEM_rptr(PBE2PARAM), both, &algorithm->parameter);
  SCRYPT_PARAMS_free(scrypt);
  PBE2PARAM_free(both);
  return algorithm;
}

TEST(CostlyKey, WhosePassphraseIsHashedForHoursIsRefused) {
  const std::string costly = "the private key wants its passphrase hashed for too long";
  const std::string wrong = "the private key does not decrypt: the passphrase is wrong or the text damaged";
  EXPECT_EQ(MessageOf(Encrypted(Pbkdf2(0x7FFFFFFF))), costly);
  EXPECT_EQ(MessageOf(Encrypted(Pbkdf2(1000))), wrong);
  EXPECT_EQ(MessageOf(Encrypted(Before(0x7FFFFFFF))), costly);
  EXPECT_EQ(MessageOf(Encrypted(Before(1000))), wrong);
  EXPECT_EQ(MessageOf(Encrypted(Scrypt(100'000))), costly);
  EXPECT_EQ(MessageOf(Encrypted(Scrypt(2))), wrong);
}

TEST(CostlyKey, IsNotReadWithinAnotherEncryption) {
  for (const char* name : {"ENCRYPTED PRIVATE KEY", "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"})
    EXPECT_TRUE(test::HoldsInTime([&] { return MessageOf(Encrypted(Pbkdf2(0x7FFFFFFF), name)) != "read"; }))
        << name;
}

TEST(CostlyKey, IsFoundBehindWhatIsNone) {
  const std::string costly = Encrypted(Pbkdf2(0x7FFFFFFF));
  for (const std::string& before :
       {test::PublicPem(test::RsaKey()), std::string("-----BEGIN X-----\n!\n-----END Y-----\n"),
        std::string("-----BEGIN PRIVATE KEY-----\n"), std::string("a text\n")})
    EXPECT_NE(MessageOf(before + costly), "read");
}

// An RSA key of OpenSSL's with one of its numbers replaced by 2 to the power of bits, less one.
std::string WithNumber(const char* name, int bits) {
  OSSL_PARAM_BLD* builder = OSSL_PARAM_BLD_new();
  std::vector<BIGNUM*> numbers;
  for (const char* known :
       {OSSL_PKEY_PARAM_RSA_N, OSSL_PKEY_PARAM_RSA_E, OSSL_PKEY_PARAM_RSA_D, OSSL_PKEY_PARAM_RSA_FACTOR1,
        OSSL_PKEY_PARAM_RSA_FACTOR2, OSSL_PKEY_PARAM_RSA_EXPONENT1, OSSL_PKEY_PARAM_RSA_EXPONENT2,
        OSSL_PKEY_PARAM_RSA_COEFFICIENT1}) {
    BIGNUM* number = nullptr;
    EVP_PKEY_get_bn_param(test::RsaKey(), known, &number);
    if (std::string_view(known) == name) {
      BN_one(number);
      BN_lshift(number, number, bits);
      BN_sub_word(number, 1);
    }
    OSSL_PARAM_BLD_push_BN(builder, known, number);
    numbers.push_back(number);
  }
  OSSL_PARAM* parameters = OSSL_PARAM_BLD_to_param(builder);
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr);
  EVP_PKEY* key = nullptr;
  EVP_PKEY_fromdata_init(context);
  const bool made = EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, parameters) == 1;
  const std::string pem = made ? test::PrivatePem(key) : "";
  EVP_PKEY_free(key);
  EVP_PKEY_CTX_free(context);
  OSSL_PARAM_free(parameters);
  for (BIGNUM* number : numbers) BN_free(number);
  OSSL_PARAM_BLD_free(builder);
  return pem;
}

void ExpectRefused(const char* name, int bits, const std::string& message) {
  const std::string pem = WithNumber(name, bits);
  if (pem.empty()) {  // OpenSSL 3.5 makes no key of some of these
    EXPECT_GE(OpenSSL_version_num(), 0x30500000UL) << name;
  } else {
    EXPECT_EQ(MessageOf(pem), message) << name;
  }
}

TEST(CostlyKey, OfNumbersWithoutMeasureIsRefused) {
  const std::string uneven = "the primes of an RSA key must be of one size";
  const std::string apart = "the numbers of the private key do not belong together";
  // Primes of Mersenne's: their test does not end early.
  ExpectRefused(OSSL_PKEY_PARAM_RSA_FACTOR1, 9689, uneven);
  ExpectRefused(OSSL_PKEY_PARAM_RSA_FACTOR2, 44497, uneven);
  ExpectRefused(OSSL_PKEY_PARAM_RSA_EXPONENT1, 44497, uneven);
  ExpectRefused(OSSL_PKEY_PARAM_RSA_COEFFICIENT1, 2048, uneven);
  ExpectRefused(OSSL_PKEY_PARAM_RSA_D, 44497, apart);
  ExpectRefused(OSSL_PKEY_PARAM_RSA_E, 44497, apart);
  ExpectRefused(OSSL_PKEY_PARAM_RSA_N, 44497, "an RSA key of 44497 bits is not taken in");
}

std::string Tlv(char tag, const std::string& value) {
  const std::size_t size = value.size();
  return std::string{tag, '\x82', static_cast<char>(size >> 8), static_cast<char>(size)} + value;
}

std::string Integer(std::size_t size) { return Tlv('\2', '\0' + std::string(size, '\xFF')); }

const std::string kDsa = "\x06\x07\x2a\x86\x48\xce\x38\x04\x01";
const std::string kRsa = "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const std::string kEcOnP256 = "\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";

std::string Pkcs8(const std::string& algorithm, const std::string& key) {
  return Tlv('\x30', Integer(0) + Tlv('\x30', algorithm) + Tlv('\4', key));
}

// OpenSSL calculates the public number of DSA while it reads the key.
TEST(CostlyKey, OfDsaIsNotReadAtAll) {
  const std::string huge =
      Pkcs8(kDsa + Tlv('\x30', Integer(12'000) + Integer(32) + Integer(12'000)), Integer(12'000));
  const std::string other = "the private key is neither RSA nor EC";
  EXPECT_TRUE(
      test::HoldsInTime([&] { return MessageOf(test::PemOf("PRIVATE KEY", base::AsBytes(huge))) == other; }));
  // Nor under another name.
  for (const char* name : {"RSA PRIVATE KEY", "EC PRIVATE KEY", "DSA PRIVATE KEY"})
    EXPECT_TRUE(test::HoldsInTime([&] {
      return MessageOf(test::PemOf(name, base::AsBytes(huge))) != "read";
    })) << name;
}

TEST(CostlyKey, OfNumbersThatFillTheTextIsRefused) {
  std::string numbers = Integer(0);
  for (int i = 0; i < 8; ++i) numbers += Integer(5'000);
  for (const std::string& key :
       {Pkcs8(kRsa, Tlv('\x30', numbers)),
        Pkcs8(kEcOnP256, Tlv('\x30', std::string("\2\1\1") + Tlv('\4', std::string(40'000, '\xFF'))))})
    EXPECT_TRUE(test::HoldsInTime(
        [&] { return MessageOf(test::PemOf("PRIVATE KEY", base::AsBytes(key))) != "read"; }));
}

}  // namespace
}  // namespace trustpoint::crypto
