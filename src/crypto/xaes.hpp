// XAES-256-GCM (https://c2sp.org/XAES-256-GCM): AES-256-GCM under a key derived by CMAC from the first half
// of a 24-byte nonce. The CMAC is that of one whole block, as the specification writes it out in terms of
// AES: OpenSSL's CMAC gives the same in ten times the time, most of it names of parameters.
//
// This is the derivation alone. The second half of the nonce is the GCM nonce under the derived key, so
// whoever keeps the first half keeps the derived key too, and derives once for many values.
#pragma once

#include <cstddef>

#include "base/bytes.hpp"
#include "crypto/aes_blocks.hpp"
#include "crypto/expanded_key.hpp"

namespace trustpoint::crypto {

inline constexpr std::size_t kXaesNonceSize = 24;
inline constexpr std::size_t kXaesPrefixSize = 12;

class XaesDeriver {
 public:
  ~XaesDeriver() { base::Wipe(subkey_); }
  // key: 32 bytes, the XAES key.
  void SetKey(base::Bytes key);
  // As ShortGcmContext.
  void Keep(ExpandedKey* key);
  [[nodiscard]] bool SetKey(const ExpandedKey& key) noexcept;
  // prefix: the first kXaesPrefixSize bytes of the nonce; derived: 32 bytes. Throws kInternal when not keyed.
  void Derive(base::Bytes prefix, base::MutableBytes derived);
  // As GcmContext::Clear.
  void Clear() noexcept;
  bool keyed() const noexcept { return keyed_; }

 private:
  bool Key(base::Bytes key);

  AesBlocks aes_;
  base::Block<kAesBlockSize> subkey_{};  // CMAC's K1
  bool keyed_ = false;
  const std::uint64_t serial_ = NextContextSerial();
};

}  // namespace trustpoint::crypto
