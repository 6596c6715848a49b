// AES-256 block by block (ECB) through a kept context of OpenSSL's: what GCM for short texts and the key
// derivation of XAES-256-GCM are made of. Its owner clears it at the end of every transaction: see gcm.hpp.
//
// The context is one of OpenSSL's provider, past EVP: EVP does not tell where the round keys are, which are
// kept (see expanded_key.hpp) and cleared by copying.
#pragma once

#include <cstddef>
#include <vector>

#include "base/bytes.hpp"

namespace trustpoint::crypto {

inline constexpr std::size_t kAesBlockSize = 16;

class AesBlocks {
 public:
  AesBlocks() = default;
  ~AesBlocks();
  AesBlocks(const AesBlocks&) = delete;
  AesBlocks& operator=(const AesBlocks&) = delete;

  // key: 32 bytes. False when OpenSSL fails; throws where it offers no AES-256.
  [[nodiscard]] bool SetKey(base::Bytes key);
  // size: whole blocks; in may be out. False when OpenSSL fails.
  [[nodiscard]] bool Encrypt(const std::uint8_t* in, std::uint8_t* out, std::size_t size) noexcept;
  // Over what the last blocks left in the processor's vector registers, which a signal or the dynamic linker
  // would save on the stack: for an output that is secret.
  void ClearRegisters() noexcept;
  // What the context was before it had a key, over all that it is.
  void Clear() noexcept;
  // Where the round keys are, among all that the context is. Empty: not known.
  base::MutableBytes memory() const noexcept { return memory_; }

 private:
  void* context_ = nullptr;
  base::MutableBytes memory_;
  std::vector<std::uint8_t> unkeyed_;  // what memory_ was at first
};

}  // namespace trustpoint::crypto
