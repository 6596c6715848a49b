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

std::string HintOf(std::string_view pem) {
  try {
    ReadPrivateKey(pem, std::nullopt);
  } catch (const base::Error& error) {
    return error.failure().hint;
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

// Made by 'openssl pkcs8 -topk8 -v1' with PBE-MD5-DES and PBE-SHA1-RC2-40, and 'openssl ec -des'; passphrase
// "pw".
constexpr const char* kOldCiphers[] = {R"(-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGwMBsGCSqGSIb3DQEFAzAOBAgDg+ubvAUWwgICCAAEgZCXLdFDePudm64H5Vx6
Pu2Bvs35Ec+Li8w+atshO/w9yXniKEw5qekagsd2xxDPkmg+5oVyONKEd7VzofNU
oaErZ/ePIrWEUgxJD7U0CW/Kew2a4wLTPONxBB8MrNsP5gMhZ2SNlUZd7JcWE/O3
V6Sd8NS0mJ3CESEgPu6qt+Eqi2KVfYuRmGVUXHl7GcX0zlo=
-----END ENCRYPTED PRIVATE KEY-----
)",
                                       R"(-----BEGIN ENCRYPTED PRIVATE KEY-----
MIGxMBwGCiqGSIb3DQEMAQYwDgQIzJkuI/OwYRACAggABIGQ9D6fq4A2CWCQTraV
qzYKlgxAv2uiRAQbPLM+7Hd4LaXy4hxoDRR4ysziJwxhwfbFCJVP0kgkjaou7f7g
RJjE/8lnf5e79+n7M5ngYg/0ykklTBdWIlr7T1fPJVGEVKy2TCIwhA1VOUum0z51
oZ0/ASttUtbXmoPdwLrZyu9F16B6zAMhO1CfJbvyG7nixsav
-----END ENCRYPTED PRIVATE KEY-----
)",
                                       R"(-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: DES-CBC,B22370146A9A48E5

GDhtuCzAzaxT0SLiX5q1RwqtHYlwKBD4ayZgvE6TXAcjE5H2/wPrG2dffFXlkWo9
C1CRaL5UtP3aKTK3gLapdGxYaG46DB4+Gy0gYs/blzzOg2G2EVdO83pBxRz6O91t
2qwJWrSYlBKuSFAIQSriqrzlHNmwNczr/rU5/KZO+To=
-----END EC PRIVATE KEY-----
)"};

TEST(PrivateKey, EncryptedByAnOldCipherIsToldSo) {
  for (const char* pem : kOldCiphers)
    EXPECT_EQ(MessageOf(pem, base::AsBytes("pw")),
              "the private key is encrypted in a way that OpenSSL offers no more")
        << pem;
}

TEST(PrivateKey, OfNoNumberOfItsCurveIsRefused) {
  std::vector<std::uint8_t> der = {0x30, 0x31, 0x02, 0x01, 0x01, 0x04, 0x20};
  der.resize(der.size() + 32);
  for (const int byte : {0xA0, 0x0A, 0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07})
    der.push_back(static_cast<std::uint8_t>(byte));
  EXPECT_EQ(MessageOf(test::PemOf("EC PRIVATE KEY", der), std::nullopt),
            "the number or the point of the EC key is none of its curve");
}

TEST(PrivateKey, OfAnotherKindIsRefused) {
  EVP_PKEY* ed = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  EVP_PKEY* brainpool = EVP_EC_gen("brainpoolP256r1");
  EVP_PKEY* small = EVP_RSA_gen(1024);
  EXPECT_EQ(MessageOf(test::PrivatePem(ed), std::nullopt), "the private key is neither RSA nor EC");
  EXPECT_EQ(MessageOf(test::PrivatePem(brainpool), std::nullopt), "the curve of the key is not on the list");
  EXPECT_EQ(HintOf(test::PrivatePem(brainpool)), "Curves are P-256, P-384, P-521 and secp256k1.");
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
