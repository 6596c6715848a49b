#include "crypto/aes_blocks.hpp"

#include <openssl/evp.h>

#include "crypto/openssl.hpp"

namespace trustpoint::crypto {
namespace {

const EVP_CIPHER* Aes256Ecb() {
  static const EVP_CIPHER* const cipher = FetchCipher("AES-256-ECB");
  return cipher;
}

}  // namespace

AesBlocks::~AesBlocks() {
  EVP_CIPHER_CTX_free(context_);  // the provider cleanses the schedule
}

bool AesBlocks::SetKey(base::Bytes key) {
  // A context that has its cipher is not told it again: OpenSSL would look at it anew.
  const EVP_CIPHER* const cipher = context_ == nullptr ? Aes256Ecb() : nullptr;
  if (context_ == nullptr) context_ = EVP_CIPHER_CTX_new();
  return context_ != nullptr && EVP_EncryptInit_ex2(context_, cipher, key.data(), nullptr, nullptr) == 1;
}

bool AesBlocks::Encrypt(const std::uint8_t* in, std::uint8_t* out, std::size_t size) noexcept {
  return EVP_Cipher(context_, out, in, static_cast<unsigned>(size)) >= 0;
}

void AesBlocks::ClearRegisters() noexcept {
  std::uint8_t blocks[2 * kAesBlockSize] = {0xFF};  // any that nothing is ever made of
  (void)Encrypt(blocks, blocks, sizeof blocks);
}

void AesBlocks::Clear() noexcept {
  static constexpr std::uint8_t kZeros[32] = {};
  if (context_ == nullptr || EVP_EncryptInit_ex2(context_, nullptr, kZeros, nullptr, nullptr) == 1) return;
  EVP_CIPHER_CTX_free(context_);
  context_ = nullptr;  // SetKey makes a new one
}

}  // namespace trustpoint::crypto
