// AES-256 block by block (ECB) through a kept OpenSSL context: what GCM for short texts and the key
// derivation of XAES-256-GCM are made of. Its owner clears it at the end of every transaction: see gcm.hpp.
#pragma once

#include <cstddef>

#include "base/bytes.hpp"

struct evp_cipher_ctx_st;

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
  // Round keys of zeros over those of the key.
  void Clear() noexcept;

 private:
  evp_cipher_ctx_st* context_ = nullptr;
};

}  // namespace trustpoint::crypto
