#include "crypto/short_gcm.hpp"

#include <openssl/modes.h>

#include "base/error.hpp"
#include "crypto/openssl.hpp"

namespace trustpoint::crypto {
namespace {

void Require(bool condition, const char* what) {
  if (!condition) throw base::Error(base::ErrorCode::kInternal, what);
}

}  // namespace

// What OpenSSL's GCM asks of a block cipher: one block, and many blocks that count in their last four bytes.
void ShortGcmContext::EncryptBlock(const std::uint8_t* in, std::uint8_t* out, const void* aes) {
  Aes* cipher = static_cast<Aes*>(const_cast<void*>(aes));
  if (!cipher->blocks.Encrypt(in, out, kAesBlockSize)) cipher->failed = true;
}

void ShortGcmContext::EncryptCounted(const std::uint8_t* in, std::uint8_t* out, std::size_t blocks,
                                     const void* aes, const std::uint8_t* first) {
  constexpr std::size_t kFixed = 12;
  alignas(kAesBlockSize) std::uint8_t stream[kShortGcmMax] = {};
  const std::uint32_t counter = base::GetU32(first + kFixed);
  for (std::size_t i = 0; i < blocks; ++i) {
    std::uint8_t* block = stream + i * kAesBlockSize;
    base::Copy({block, kFixed}, {first, kFixed});
    base::PutU32(block + kFixed, counter + static_cast<std::uint32_t>(i));
  }
  const std::size_t size = blocks * kAesBlockSize;
  Aes* cipher = static_cast<Aes*>(const_cast<void*>(aes));
  if (!cipher->blocks.Encrypt(stream, stream, size)) cipher->failed = true;
  base::Xor({out, size}, {in, size}, {stream, size});
  base::Wipe({stream, size});  // with the ciphertext it is the plaintext
}

ShortGcmContext::~ShortGcmContext() {
  CRYPTO_gcm128_release(gcm_);  // cleanses hash key and table
}

bool ShortGcmContext::Key(base::Bytes key) {
  aes_.failed = !aes_.blocks.SetKey(key);
  if (aes_.failed) return false;
  if (gcm_ == nullptr)
    gcm_ = CRYPTO_gcm128_new(&aes_, EncryptBlock);
  else
    CRYPTO_gcm128_init(gcm_, &aes_, EncryptBlock);
  return gcm_ != nullptr && !aes_.failed;
}

void ShortGcmContext::SetKey(base::Bytes key) {
  Require(key.size() == kKeySize, "an AES-256-GCM key has 32 bytes");
  const bool good = Key(key);  // throws before there is a key to clear
  keyed_ = true;
  if (good) return;
  Clear();
  ThrowOpenSsl("could not set an AES-256-GCM key");
}

void ShortGcmContext::Clear() noexcept {
  if (!keyed_) return;
  keyed_ = false;
  aes_.blocks.Clear();
  if (gcm_ == nullptr) return;
  // A new key resets the whole state: the hash key, its table, the last text.
  aes_.failed = false;
  CRYPTO_gcm128_init(gcm_, &aes_, EncryptBlock);
  if (!aes_.failed) return;
  CRYPTO_gcm128_release(gcm_);
  gcm_ = nullptr;  // SetKey makes a new one
}

void ShortGcmContext::Begin(base::Bytes nonce, base::Bytes aad_head, base::Bytes aad_tail, base::Bytes in,
                            base::MutableBytes out) {
  Require(keyed_, "a short text without a key");
  Require(nonce.size() == kGcmNonceSize && in.size() <= kShortGcmMax && out.size() == in.size(),
          "a short text with a buffer of the wrong size");
  CRYPTO_gcm128_setiv(gcm_, nonce.data(), nonce.size());
  Require(CRYPTO_gcm128_aad(gcm_, aad_head.data(), aad_head.size()) == 0 &&
              CRYPTO_gcm128_aad(gcm_, aad_tail.data(), aad_tail.size()) == 0,
          "additional data that is too long");
}

void ShortGcmSealer::Seal(base::Bytes nonce, base::Bytes aad_head, base::Bytes aad_tail,
                          base::Bytes plaintext, base::MutableBytes ciphertext, base::MutableBytes tag) {
  Require(tag.size() == kTagSize, "encryption with a buffer of the wrong size");
  Begin(nonce, aad_head, aad_tail, plaintext, ciphertext);
  const bool good = CRYPTO_gcm128_encrypt_ctr32(gcm_, plaintext.data(), ciphertext.data(), plaintext.size(),
                                                EncryptCounted) == 0;
  CRYPTO_gcm128_tag(gcm_, tag.data(), tag.size());
  if (good && !aes_.failed) return;
  base::Wipe(ciphertext);  // without the cipher it would be the plaintext, hardly hidden
  ThrowOpenSsl("encryption failed");
}

bool ShortGcmOpener::Open(base::Bytes nonce, base::Bytes aad_head, base::Bytes aad_tail,
                          base::Bytes ciphertext, base::Bytes tag, base::MutableBytes plaintext) {
  Require(tag.size() == kTagSize, "decryption with a buffer of the wrong size");
  Begin(nonce, aad_head, aad_tail, ciphertext, plaintext);
  const bool good = CRYPTO_gcm128_decrypt_ctr32(gcm_, ciphertext.data(), plaintext.data(), ciphertext.size(),
                                                EncryptCounted) == 0;
  const bool authentic = CRYPTO_gcm128_finish(gcm_, tag.data(), tag.size()) == 0;
  if (good && authentic && !aes_.failed) return true;
  base::Wipe(plaintext);
  if (!good || aes_.failed) ThrowOpenSsl("decryption failed");
  return false;
}

}  // namespace trustpoint::crypto
