// Private keys out of PEM, in every form that there is.
#include "crypto/private_key.hpp"

#include <algorithm>

#include "crypto/random.hpp"
#include "unit/crypto_fixture.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::crypto {
namespace {

using base::ErrorCode;
using test::Buffer;
using test::CodeOf;
using test::kCurves;

constexpr const char* kPassphrase = "correct horse";
const std::string kVectors = std::string(TRUSTPOINT_PUBLIC_VECTORS) + "/asymmetric/";

std::string FileText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string MessageOf(std::string_view pem, std::optional<base::Bytes> passphrase) {
  try {
    ReadPrivateKey(pem, passphrase);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "read";
}

std::vector<EVP_PKEY*> AllKeys() {
  std::vector<EVP_PKEY*> keys = {test::RsaKey(2048), test::RsaKey(3072)};
  for (const Curve curve : kCurves) keys.push_back(test::EcKey(curve));
  return keys;
}

TEST(PrivateKey, IsReadInEveryForm) {
  for (EVP_PKEY* key : AllKeys()) {
    const Buffer der = PublicKey::FromPem(test::PublicPem(key)).Der();
    for (const std::string& pem : {test::PrivatePem(key), test::TraditionalPem(key)})
      EXPECT_EQ(ReadPrivateKey(pem, std::nullopt).Public().Der(), der);
    for (const std::string& pem :
         {test::PrivatePem(key, kPassphrase), test::TraditionalPem(key, kPassphrase)})
      EXPECT_EQ(ReadPrivateKey(pem, base::AsBytes(kPassphrase)).Public().Der(), der);
  }
}

// The numbers themselves, put together again by OpenSSL.
TEST(PrivateKey, ItsNumbersAreThoseOfTheKey) {
  const PrivateKey rsa = ReadPrivateKey(test::PrivatePem(test::RsaKey()), std::nullopt);
  EXPECT_EQ(rsa.modulus.size(), 256U);
  EXPECT_EQ(rsa.prime_1.size(), 128U);
  const auto number = [](base::Bytes bytes) {
    return BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr);
  };
  BN_CTX* context = BN_CTX_new();
  BIGNUM *p = number(rsa.prime_1.view()), *q = number(rsa.prime_2.view()), *n = number(rsa.modulus);
  BIGNUM* product = BN_new();
  BN_mul(product, p, q, context);
  EXPECT_EQ(BN_cmp(product, n), 0);
  for (BIGNUM* each : {p, q, n, product}) BN_free(each);
  BN_CTX_free(context);

  const PrivateKey ec = ReadPrivateKey(test::PrivatePem(test::EcKey(Curve::kP521)), std::nullopt);
  EXPECT_EQ(ec.curve, Curve::kP521);
  EXPECT_EQ(ec.scalar.size(), 66U);
  EXPECT_EQ(ec.point.size(), 133U);
}

TEST(PrivateKey, OfPublicVectorsIsRead) {
  EXPECT_EQ(ReadPrivateKey(FileText(kVectors + "PKCS8/ec_private_key.pem"), std::nullopt).curve,
            Curve::kP256);
  EXPECT_EQ(ReadPrivateKey(FileText(kVectors + "PKCS8/ec_private_key_encrypted.pem"), base::AsBytes("123456"))
                .curve,
            Curve::kP256);
}

TEST(PrivateKey, SaysWhyItIsNotRead) {
  const std::string encrypted = test::PrivatePem(test::RsaKey(), kPassphrase);
  EXPECT_EQ(MessageOf(encrypted, std::nullopt), "the private key is encrypted");
  for (const char* wrong : {"", "wrong", "correct horse "})
    EXPECT_EQ(MessageOf(encrypted, base::AsBytes(wrong)),
              "the private key does not decrypt: the passphrase is wrong or the text damaged");
  EXPECT_EQ(MessageOf(test::TraditionalPem(test::RsaKey(), kPassphrase), base::AsBytes("wrong")),
            "the private key does not decrypt: the passphrase is wrong or the text damaged");
  const std::string no_key = "the text holds no private key in PEM";
  for (const std::string& text :
       {std::string(), std::string("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        test::PublicPem(test::RsaKey()), std::string("not PEM")})
    EXPECT_EQ(MessageOf(text, std::nullopt), no_key);
  EXPECT_EQ(MessageOf(std::string(100'000, 'A'), std::nullopt),
            "the text is too long for a private key in PEM");
  const std::string passphrase(2000, 'x');
  EXPECT_EQ(MessageOf(encrypted, base::AsBytes(passphrase)),
            "the private key does not decrypt: the passphrase is wrong or the text damaged");
}

TEST(PrivateKey, OfAnotherKindIsRefused) {
  EVP_PKEY* ed = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  EVP_PKEY* brainpool = EVP_EC_gen("brainpoolP256r1");
  EVP_PKEY* small = EVP_RSA_gen(1024);
  EXPECT_EQ(MessageOf(test::PrivatePem(ed), std::nullopt), "the private key is neither RSA nor EC");
  EXPECT_EQ(MessageOf(test::PrivatePem(brainpool), std::nullopt), "the curve of the key is not on the list");
  EXPECT_EQ(MessageOf(test::PrivatePem(small), std::nullopt), "an RSA key of 1024 bits is not taken in");
  for (EVP_PKEY* key : {ed, brainpool, small}) EVP_PKEY_free(key);
}

TEST(PrivateKey, WhoseNumbersDoNotBelongTogetherIsRefused) {
  EXPECT_EQ(
      CodeOf([] { ReadPrivateKey(FileText(kVectors + "PEM_Serialization/rsa-bad-1025-q-is-2.pem"), {}); }),
      ErrorCode::kInvalidArgument);
  // A point of another key in the EC key's DER: the last 65 bytes.
  EVP_PKEY *one = test::EcKey(Curve::kP256), *other = EVP_EC_gen("P-256");
  const std::string pem = test::Written([&](BIO* bio) {
    unsigned char* der = nullptr;
    const int size = i2d_PrivateKey(one, &der);
    const std::vector<std::uint8_t> point = PublicKey::FromPem(test::PublicPem(other)).Der();
    std::copy(point.end() - 65, point.end(), der + size - 65);
    const int written = PEM_write_bio(bio, "EC PRIVATE KEY", "", der, size);
    OPENSSL_free(der);
    return written > 0 ? 1 : 0;
  });
  EXPECT_EQ(MessageOf(pem, std::nullopt), "the numbers of the private key do not belong together");
  EVP_PKEY_free(other);
}

}  // namespace
}  // namespace trustpoint::crypto
