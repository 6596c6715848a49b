// AES-256-GCM for short texts: OpenSSL's GCM (<openssl/modes.h>) over OpenSSL's AES.
//
// Most secrets are short, and of the 200 ns that EVP takes for 64 bytes two thirds are its look-ups of
// parameters by name, for the nonce and the tag. This way there are none. Beyond kShortGcmMax bytes EVP's
// combined assembly is faster: see gcm.hpp, whose rules on keys hold here too.
#pragma once

#include <cstddef>

#include "base/bytes.hpp"
#include "crypto/aes_blocks.hpp"
#include "crypto/expanded_key.hpp"
#include "crypto/gcm.hpp"

struct gcm128_context;

namespace trustpoint::crypto {

inline constexpr std::size_t kShortGcmMax = 512;

class ShortGcmContext {
 public:
  ShortGcmContext(const ShortGcmContext&) = delete;
  ShortGcmContext& operator=(const ShortGcmContext&) = delete;

  void SetKey(base::Bytes key);  // as GcmContext::SetKey
  void Clear() noexcept;         // as GcmContext::Clear
  // Keeps the key that is set, and sets it again. False: this context has not kept it.
  void Keep(ExpandedKey* key);
  [[nodiscard]] bool SetKey(const ExpandedKey& key) noexcept;
  bool keyed() const noexcept { return keyed_; }

 protected:
  ShortGcmContext() = default;
  ~ShortGcmContext();

  void Begin(base::Bytes nonce, base::Bytes aad_head, base::Bytes aad_tail, base::Bytes in,
             base::MutableBytes out);
  static void EncryptCounted(const std::uint8_t* in, std::uint8_t* out, std::size_t blocks,
                             const void* cipher, const std::uint8_t* first);

  // What OpenSSL's GCM calls, through functions that return nothing. The key stream of a text, with the block
  // for its tag before it, is made in one call of AES: four blocks cost what one costs. The nonces of a query
  // follow one another, so that the call makes the streams of the next texts too.
  class Cipher {
   public:
    ~Cipher() { base::Wipe(streams_); }
    bool SetKey(base::Bytes key);
    void Forget() noexcept;  // the streams
    void Clear() noexcept;
    void Take(base::Bytes nonce, std::size_t size) noexcept;  // the stream of this text
    // The stream of the text from the block of this counter on. nullptr: it is not so long.
    const std::uint8_t* At(const std::uint8_t* counter, std::size_t count) noexcept;

    bool has_stream() const noexcept { return stream_ != nullptr; }

    AesBlocks aes;
    bool failed = false;

   private:
    static constexpr std::size_t kMaxTexts = 8;
    static constexpr std::size_t kMaxBlocks = 72;  // of all streams: 8 texts of 128 bytes, or one of any size
    static_assert(kMaxBlocks >= kShortGcmMax / kAesBlockSize + 1);

    void Make(base::Bytes nonce, std::size_t blocks, std::size_t texts) noexcept;

    const std::uint8_t* stream_ = nullptr;  // of this text
    base::Block<kGcmNonceSize> next_ = {};  // the nonce of the next stream
    std::size_t blocks_ = 0;                // of each stream
    std::size_t texts_ = 1;                 // streams that are made
    std::size_t used_ = 1;                  // of which so many are used
    std::size_t written_ = 0;               // bytes of streams_, at most, since it was wiped
    // With a ciphertext its stream is the plaintext: as secret as the key.
    std::uint8_t streams_[kMaxBlocks * kAesBlockSize] = {};
  };
  Cipher cipher_;
  gcm128_context* gcm_ = nullptr;
  base::MutableBytes gcm_memory_;  // empty: not known
  bool keyed_ = false;
  const std::uint64_t serial_ = NextContextSerial();

 private:
  static void EncryptBlock(const std::uint8_t* in, std::uint8_t* out, const void* cipher);
  static void NoKey(const std::uint8_t* in, std::uint8_t* out, const void* cipher);  // a hash key of zeros

  bool Key(base::Bytes key);
};

class ShortGcmSealer : public ShortGcmContext {
 public:
  // As GcmSealer::Seal, for at most kShortGcmMax bytes.
  void Seal(base::Bytes nonce, base::Bytes aad_head, base::Bytes aad_tail, base::Bytes plaintext,
            base::MutableBytes ciphertext, base::MutableBytes tag);
};

class ShortGcmOpener : public ShortGcmContext {
 public:
  // As GcmOpener::Open, for at most kShortGcmMax bytes.
  [[nodiscard]] bool Open(base::Bytes nonce, base::Bytes aad_head, base::Bytes aad_tail,
                          base::Bytes ciphertext, base::Bytes tag, base::MutableBytes plaintext);
};

}  // namespace trustpoint::crypto
