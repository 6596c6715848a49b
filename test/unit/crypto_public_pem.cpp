// Which texts are public keys. They come from any user of the database.
#include <openssl/x509.h>

#include <cstring>

#include "crypto/private_key.hpp"
#include "unit/crypto_fixture.hpp"

namespace trustpoint::crypto {
namespace {

using base::ErrorCode;
using test::CodeOf;

constexpr const char* kPassphrase = "correct horse";

bool IsRefused(const std::string& pem) {
  return CodeOf([&] { PublicKey::FromPem(pem); }) == ErrorCode::kInvalidArgument;
}

// A public key in the encryption that is older than PKCS#8, which OpenSSL puts around anything.
std::string EncryptedPublicPem(EVP_PKEY* key) {
  return test::Written([&](BIO* bio) {
    return PEM_ASN1_write_bio(reinterpret_cast<i2d_of_void*>(i2d_PUBKEY), "PUBLIC KEY", bio, key,
                              EVP_aes_128_cbc(), reinterpret_cast<const unsigned char*>(kPassphrase),
                              static_cast<int>(std::strlen(kPassphrase)), nullptr, nullptr);
  });
}

// OpenSSL asks at the terminal or, where there is none, at the standard input, which would answer here.
TEST(PublicPem, ThatIsEncryptedHasNobodyAskedForAPassphrase) {
  const std::string pem = EncryptedPublicPem(test::EcKey(Curve::kP256));
  EXPECT_TRUE(test::HoldsInTime([&] {
    int ends[2];
    if (setsid() < 0 || pipe(ends) != 0 || dup2(ends[0], STDIN_FILENO) < 0) return false;
    const std::string answer = std::string(kPassphrase) + "\n";
    if (write(ends[1], answer.data(), answer.size()) < 0 || close(ends[1]) != 0) return false;
    std::string left(answer.size(), '\0');
    return IsRefused(pem) && read(STDIN_FILENO, left.data(), left.size()) >= 0 && left == answer;
  }));
}

TEST(PublicPem, IsSubjectPublicKeyInfoAlone) {
  EVP_PKEY *rsa = test::RsaKey(), *ec = test::EcKey(Curve::kP256);
  std::uint8_t* bytes = nullptr;
  const int size = i2d_PublicKey(rsa, &bytes);
  ASSERT_GT(size, 0);
  const std::string pkcs1 = test::PemOf("RSA PUBLIC KEY", {bytes, static_cast<std::size_t>(size)});
  EXPECT_TRUE(IsRefused(pkcs1));
  EXPECT_TRUE(IsRefused(test::PemOf("PUBLIC KEY", {bytes, static_cast<std::size_t>(size)})));
  OPENSSL_free(bytes);
  for (EVP_PKEY* key : {rsa, ec}) {
    EXPECT_TRUE(IsRefused(test::PrivatePem(key)));
    EXPECT_TRUE(IsRefused(test::TraditionalPem(key)));
    EXPECT_FALSE(IsRefused(test::PublicPem(key)));
  }
}

TEST(PublicPem, IsFoundBehindWhatIsNone) {
  const std::string pem = test::PublicPem(test::RsaKey());
  for (const std::string& before :
       {std::string("a text\n"), std::string("-----BEGIN X-----\n!\n-----END Y-----\n"),
        test::PrivatePem(test::EcKey(Curve::kP256))})
    EXPECT_FALSE(IsRefused(before + pem));
}

TEST(PublicPem, OfAnotherTypeSaysSo) {
  EVP_PKEY* ed = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
  try {
    PublicKey::FromPem(test::PublicPem(ed));
    ADD_FAILURE() << "read";
  } catch (const base::Error& error) {
    EXPECT_STREQ(error.what(), "the key is neither RSA nor EC");
  }
  EVP_PKEY_free(ed);
}

}  // namespace
}  // namespace trustpoint::crypto
