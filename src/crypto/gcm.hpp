// AES-256-GCM through a kept OpenSSL context, one direction each.
//
// A context holds a key schedule in ordinary memory, so its owner clears it at the end of every transaction.
// It is made when it is first keyed: a new connection pays for what it uses.
// The encrypting and the decrypting context are different types: a nonce read from a stored value never
// encrypts.
#pragma once

#include <cstddef>

#include "base/bytes.hpp"

struct evp_cipher_ctx_st;

namespace trustpoint::crypto {

inline constexpr std::size_t kKeySize = 32;
inline constexpr std::size_t kGcmNonceSize = 12;
inline constexpr std::size_t kTagSize = 16;

// What both directions share: the context, and whether it holds a real key.
class GcmContext {
 public:
  GcmContext(const GcmContext&) = delete;
  GcmContext& operator=(const GcmContext&) = delete;

  // key: kKeySize bytes. Throws kInternal when OpenSSL fails; the context is then not keyed.
  void SetKey(base::Bytes key);
  // Keys the context with zeros, over every trace of the old key. Does nothing when it is not keyed.
  void Clear() noexcept;
  bool keyed() const noexcept { return keyed_; }

 protected:
  explicit GcmContext(bool encrypt) : encrypt_(encrypt) {}
  ~GcmContext();

  evp_cipher_ctx_st* context_ = nullptr;
  bool keyed_ = false;
  const bool encrypt_;
};

class GcmSealer : public GcmContext {
 public:
  GcmSealer() : GcmContext(true) {}
  // nonce: kGcmNonceSize bytes, never used before under this key. aad is two parts that are authenticated one
  // after the other, so that a caller need not join them. ciphertext: as long as plaintext; tag: kTagSize.
  // Throws kInternal when not keyed.
  void Seal(base::Bytes nonce, base::Bytes aad_head, base::Bytes aad_tail, base::Bytes plaintext,
            base::MutableBytes ciphertext, base::MutableBytes tag);
};

class GcmOpener : public GcmContext {
 public:
  GcmOpener() : GcmContext(false) {}
  // False: not authentic, and plaintext (as long as ciphertext) has been wiped. Throws kInternal when not
  // keyed.
  [[nodiscard]] bool Open(base::Bytes nonce, base::Bytes aad_head, base::Bytes aad_tail,
                          base::Bytes ciphertext, base::Bytes tag, base::MutableBytes plaintext);
};

}  // namespace trustpoint::crypto
