// HMAC-SHA-256 under a kept key: a first use of the key costs two hashes more than the next.
#pragma once

#include "base/bytes.hpp"
#include "crypto/kdf.hpp"

struct evp_mac_ctx_st;

namespace trustpoint::crypto {

class HmacSha256Key {
 public:
  HmacSha256Key() = default;
  ~HmacSha256Key();
  HmacSha256Key(const HmacSha256Key&) = delete;
  HmacSha256Key& operator=(const HmacSha256Key&) = delete;

  // key: 32 bytes. Throws kInternal when OpenSSL fails; it is then not keyed.
  void SetKey(base::Bytes key);
  // Throws kInternal when not keyed.
  base::Block<kSha256Size> Code(Parts parts);
  // As GcmContext::Clear.
  void Clear() noexcept;
  bool keyed() const noexcept { return keyed_; }

 private:
  evp_mac_ctx_st* context_ = nullptr;
  bool keyed_ = false;
};

}  // namespace trustpoint::crypto
