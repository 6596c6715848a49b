// XAES-256-GCM (C2SP): AES-256-GCM under a key derived by CMAC from the first half of a 24-byte nonce.
//
// This is the derivation alone. The second half of the nonce is the GCM nonce under the derived key, so
// whoever keeps the first half keeps the derived key too, and derives once for many values.
#pragma once

#include <cstddef>

#include "base/bytes.hpp"

struct evp_mac_ctx_st;

namespace trustpoint::crypto {

inline constexpr std::size_t kXaesNonceSize = 24;
inline constexpr std::size_t kXaesPrefixSize = 12;

class XaesDeriver {
 public:
  XaesDeriver() = default;
  ~XaesDeriver();
  XaesDeriver(const XaesDeriver&) = delete;
  XaesDeriver& operator=(const XaesDeriver&) = delete;

  // key: 32 bytes, the XAES key.
  void SetKey(base::Bytes key);
  // prefix: the first kXaesPrefixSize bytes of the nonce; derived: 32 bytes. Throws kInternal when not keyed.
  void Derive(base::Bytes prefix, base::MutableBytes derived);
  // As GcmContext::Clear.
  void Clear() noexcept;
  bool keyed() const noexcept { return keyed_; }

 private:
  evp_mac_ctx_st* context_ = nullptr;
  bool keyed_ = false;
};

}  // namespace trustpoint::crypto
