// OAEP with a label: what was encrypted under one opens under no other, in whatever way it is decrypted.
#include <gtest/gtest.h>

#include "crypto/private_key.hpp"
#include "crypto/rsa_block.hpp"
#include "unit/crypto_fixture.hpp"

namespace trustpoint::test {
namespace {

using crypto::RsaPadding;

constexpr std::string_view kLabel = "tpdek-recovery1 and more";
constexpr std::string_view kPlaintext = "thirty-two bytes, as a DEK has!!";

base::Bytes View(std::string_view text) { return base::AsBytes(text); }

std::vector<std::uint8_t> Encrypted(RsaPadding padding, std::string_view label) {
  return crypto::PublicKey::FromPem(PublicPem(RsaKey(3072))).Encrypt(padding, View(kPlaintext), View(label));
}

std::string Decrypted(RsaPadding padding, base::Bytes ciphertext, std::string_view label,
                      const char* passphrase = nullptr) {
  const std::string pem = PrivatePem(RsaKey(3072), passphrase);
  const auto plaintext = crypto::DecryptWithPem(
      pem, passphrase ? std::optional(View(passphrase)) : std::nullopt, padding, ciphertext, View(label));
  return std::string(base::AsText(plaintext.view()));
}

TEST(CryptoOaepLabel, OpensUnderItsLabelAlone) {
  for (const RsaPadding padding : {RsaPadding::kOaepSha1, RsaPadding::kOaepSha256, RsaPadding::kOaepSha512}) {
    const auto ciphertext = Encrypted(padding, kLabel);
    EXPECT_EQ(Decrypted(padding, ciphertext, kLabel), kPlaintext);
    EXPECT_EQ(Decrypted(padding, ciphertext, kLabel, "passphrase"), kPlaintext);
    for (const std::string_view other : {"", "tpdek-recovery1 and mor", "tpdek-recovery1 and more "})
      EXPECT_EQ(CodeOf([&] { Decrypted(padding, ciphertext, other); }),
                base::ErrorCode::kAuthenticationFailed);
  }
  EXPECT_EQ(
      CodeOf([&] { Decrypted(RsaPadding::kOaepSha256, Encrypted(RsaPadding::kOaepSha256, ""), kLabel); }),
      base::ErrorCode::kAuthenticationFailed);
}

// As a token does it that knows CKM_RSA_X_509 alone.
TEST(CryptoOaepLabel, IsCheckedOnARawBlock) {
  const auto ciphertext = Encrypted(RsaPadding::kOaepSha256, kLabel);
  EVP_PKEY_CTX* context = EVP_PKEY_CTX_new(RsaKey(3072), nullptr);
  ASSERT_EQ(EVP_PKEY_decrypt_init(context), 1);
  ASSERT_EQ(EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING), 1);
  std::vector<std::uint8_t> block(ciphertext.size()), out(ciphertext.size());
  std::size_t size = block.size();
  ASSERT_EQ(EVP_PKEY_decrypt(context, block.data(), &size, ciphertext.data(), ciphertext.size()), 1);
  EVP_PKEY_CTX_free(context);
  EXPECT_EQ(crypto::UnpadRsaBlock(RsaPadding::kOaepSha256, block, out, View(kLabel)), kPlaintext.size());
  EXPECT_EQ(base::AsText(base::Bytes(out).first(kPlaintext.size())), kPlaintext);
  EXPECT_FALSE(crypto::UnpadRsaBlock(RsaPadding::kOaepSha256, block, out, View("another")));
  EXPECT_FALSE(crypto::UnpadRsaBlock(RsaPadding::kOaepSha256, block, out));
}

TEST(CryptoOaepLabel, RefusesKeysThatDoNotDecrypt) {
  const auto ciphertext = Encrypted(RsaPadding::kOaepSha256, kLabel);
  const std::string ec = PrivatePem(EcKey(crypto::Curve::kP256));
  const std::string locked = PrivatePem(RsaKey(3072), "passphrase");
  const auto decrypt = [&](std::string_view pem, std::optional<base::Bytes> passphrase, base::Bytes bytes) {
    return CodeOf(
        [&] { crypto::DecryptWithPem(pem, passphrase, RsaPadding::kOaepSha256, bytes, View(kLabel)); });
  };
  EXPECT_EQ(decrypt(ec, std::nullopt, ciphertext), base::ErrorCode::kInvalidArgument);
  EXPECT_EQ(decrypt("no key", std::nullopt, ciphertext), base::ErrorCode::kInvalidArgument);
  EXPECT_EQ(decrypt(locked, std::nullopt, ciphertext), base::ErrorCode::kInvalidArgument);
  EXPECT_EQ(decrypt(locked, View("wrong"), ciphertext), base::ErrorCode::kInvalidArgument);
  EXPECT_EQ(decrypt(locked, View("passphrase"), base::Bytes(ciphertext).first(100)),
            base::ErrorCode::kAuthenticationFailed);
  EXPECT_EQ(decrypt(PrivatePem(RsaKey(2048)), std::nullopt, ciphertext),
            base::ErrorCode::kAuthenticationFailed);
}

}  // namespace
}  // namespace trustpoint::test
