#include "crypto/short_gcm.hpp"

#include <openssl/modes.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/error.hpp"
#include "crypto/aad.hpp"
#include "crypto/openssl.hpp"

namespace trustpoint::crypto {
namespace {

void Require(bool condition, const char* what) {
  if (!condition) throw base::Error(base::ErrorCode::kInternal, what);
}

}  // namespace

bool ShortGcmContext::Cipher::SetKey(base::Bytes key) {
  Forget();
  return aes.SetKey(key);
}

void ShortGcmContext::Cipher::Clear() noexcept {
  Forget();
  aes.Clear();
  base::Wipe(base::MutableBytes(streams_).first(std::exchange(written_, 0)));
}

void ShortGcmContext::Cipher::Forget() noexcept {
  stream_ = nullptr;
  texts_ = used_ = 1;
}

void ShortGcmContext::Cipher::Take(base::Bytes nonce, std::size_t size) noexcept {
  const std::size_t blocks = 1 + (size + kAesBlockSize - 1) / kAesBlockSize;
  const bool follows = !failed && std::memcmp(nonce.data(), next_.data(), kGcmNonceSize) == 0;
  if (!follows) {
    Make(nonce, blocks, 1);
  } else if (used_ == texts_ || blocks > blocks_) {  // not all that follow pay for one long text
    const std::size_t size_of_each = std::max(blocks, std::min(blocks_, kMaxBlocks / kMaxTexts));
    Make(nonce, size_of_each, std::min({2 * texts_, kMaxTexts, kMaxBlocks / size_of_each}));
  }
  stream_ = streams_ + used_++ * blocks_ * kAesBlockSize;
  base::Increment(next_);
}

void ShortGcmContext::Cipher::Make(base::Bytes nonce, std::size_t blocks, std::size_t texts) noexcept {
  base::Copy(next_, nonce.first<kGcmNonceSize>());
  std::uint8_t* out = streams_;
  for (std::size_t text = 0; text < texts; ++text) {
    for (std::uint32_t i = 1; i <= blocks; ++i, out += kAesBlockSize) {
      base::Copy({out, kGcmNonceSize}, next_);
      base::PutU32(out + kGcmNonceSize, i);
    }
    base::Increment(next_);
  }
  const std::size_t size = texts * blocks * kAesBlockSize;
  written_ = std::max(written_, size);
  failed = !aes.Encrypt(streams_, streams_, size);
  base::Copy(next_, nonce.first<kGcmNonceSize>());
  blocks_ = blocks;
  texts_ = texts;
  used_ = 0;
}

const std::uint8_t* ShortGcmContext::Cipher::At(const std::uint8_t* counter, std::size_t count) noexcept {
  const std::size_t first = base::GetU32(counter + kGcmNonceSize) - std::size_t{1};
  if (first < blocks_ && count <= blocks_ - first) return stream_ + first * kAesBlockSize;
  failed = true;
  return nullptr;
}

void ShortGcmContext::EncryptBlock(const std::uint8_t* in, std::uint8_t* out, const void* cipher) {
  auto* const self = static_cast<Cipher*>(const_cast<void*>(cipher));
  if (!self->has_stream()) {  // the hash key
    self->failed = !self->aes.Encrypt(in, out, kAesBlockSize);
  } else if (const std::uint8_t* block = self->At(in, 1)) {
    base::Copy({out, kAesBlockSize}, {block, kAesBlockSize});
  }
}

void ShortGcmContext::NoKey(const std::uint8_t*, std::uint8_t* out, const void*) {
  std::memset(out, 0, kAesBlockSize);
}

void ShortGcmContext::EncryptCounted(const std::uint8_t* in, std::uint8_t* out, std::size_t blocks,
                                     const void* cipher, const std::uint8_t* first) {
  auto* const self = static_cast<Cipher*>(const_cast<void*>(cipher));
  const std::size_t size = blocks * kAesBlockSize;
  if (const std::uint8_t* stream = self->At(first, blocks))
    base::Xor({out, size}, {in, size}, {stream, size});
}

ShortGcmContext::~ShortGcmContext() {
  CRYPTO_gcm128_release(gcm_);  // cleanses hash key and table
}

bool ShortGcmContext::Key(base::Bytes key) {
  if (!cipher_.SetKey(key)) return false;
  if (gcm_ == nullptr) {
    gcm_ = CRYPTO_gcm128_new(&cipher_, EncryptBlock);
    gcm_memory_ = MemoryOf(gcm_);
  } else {
    CRYPTO_gcm128_init(gcm_, &cipher_, EncryptBlock);
  }
  return gcm_ != nullptr && !cipher_.failed;
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
  cipher_.Clear();
  // The whole state: the hash key, its table, the last text. A key that is set begins it anew.
  if (!gcm_memory_.empty())
    base::Wipe(gcm_memory_);
  else if (gcm_ != nullptr)
    CRYPTO_gcm128_init(gcm_, &cipher_, NoKey);
}

void ShortGcmContext::Keep(ExpandedKey* key) {
  Require(keyed_, "no key to keep");
  key->Take(serial_, {cipher_.aes.memory(), gcm_memory_});
}

bool ShortGcmContext::SetKey(const ExpandedKey& key) noexcept {
  if (!key.Give(serial_, {cipher_.aes.memory(), gcm_memory_})) return false;
  cipher_.Forget();
  cipher_.failed = false;
  return keyed_ = true;
}

void ShortGcmContext::Begin(base::Bytes nonce, base::Bytes aad_head, base::Bytes aad_tail, base::Bytes in,
                            base::MutableBytes out) {
  Require(keyed_, "a short text without a key");
  Require(nonce.size() == kGcmNonceSize && in.size() <= kShortGcmMax && out.size() == in.size(),
          "a short text with a buffer of the wrong size");
  cipher_.Take(nonce, in.size());
  CRYPTO_gcm128_setiv(gcm_, nonce.data(), nonce.size());
  if (!TakeAad(aad_head, aad_tail,
               [&](base::Bytes part) { return CRYPTO_gcm128_aad(gcm_, part.data(), part.size()) == 0; }))
    cipher_.failed = true;  // longer than GCM allows
}

void ShortGcmSealer::Seal(base::Bytes nonce, base::Bytes aad_head, base::Bytes aad_tail,
                          base::Bytes plaintext, base::MutableBytes ciphertext, base::MutableBytes tag) {
  Require(tag.size() == kTagSize, "encryption with a buffer of the wrong size");
  Begin(nonce, aad_head, aad_tail, plaintext, ciphertext);
  const bool good = CRYPTO_gcm128_encrypt_ctr32(gcm_, plaintext.data(), ciphertext.data(), plaintext.size(),
                                                EncryptCounted) == 0;
  CRYPTO_gcm128_tag(gcm_, tag.data(), tag.size());
  if (good && !cipher_.failed) return;
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
  if (good && authentic && !cipher_.failed) return true;
  base::Wipe(plaintext);
  if (!good || cipher_.failed) ThrowOpenSsl("decryption failed");
  return false;
}

}  // namespace trustpoint::crypto
