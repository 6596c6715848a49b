// What is derived from a DEK: one subkey for each use, and the value that proves the DEK before any use.
#pragma once

#include <algorithm>
#include <utility>

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "crypto/gcm.hpp"
#include "crypto/kdf.hpp"
#include "crypto/xaes.hpp"
#include "envelope/dek.hpp"
#include "keyring/rows.hpp"

namespace trustpoint::keyring {

using Binding = base::Block<envelope::kBindingSize>;

// M of the design: what a wrapped DEK is bound to.
Binding BindingOf(const DekRow& row);

// HMAC-SHA-256(HKDF(DEK, "trustpoint check v1"), M).
base::Block<32> CheckValue(base::Bytes dek, const Binding& binding);

// The key that was last derived for a nonce prefix, in locked memory: rows that were written together share
// their prefix.
class DerivedKey {
 public:
  // The key for this prefix; derive(key) writes it unless it was for the same prefix last time.
  template <class Derive>
  base::Bytes For(base::Bytes prefix, Derive&& derive) {
    if (key_.size() != 0 && std::equal(prefix.begin(), prefix.end(), prefix_.begin())) return key_.view();
    base::Secret key = std::move(key_);
    if (key.size() == 0) key = base::Secret(crypto::kKeySize);
    derive(key.bytes());
    base::Copy(prefix_, prefix);
    key_ = std::move(key);
    return key_.view();
  }

 private:
  base::Secret key_;
  base::Block<crypto::kXaesPrefixSize> prefix_{};
};

// The keys that a usable DEK serves with, in locked memory. The DEK itself is kept for purpose tpsec alone.
class Dek {
 public:
  Dek(envelope::Purpose purpose, base::Bytes dek);
  // The same keys once more: keys() of another one.
  static Dek FromKeys(base::Bytes keys);

  static constexpr std::size_t kMaxKeysSize = 64;
  base::Bytes keys() const { return keys_.view(); }

  base::Bytes xaes_key() const { return keys_.view().subspan(0, 32); }
  base::Bytes gcm_key() const { return keys_.view().subspan(32, 32); }
  base::Bytes index_key() const { return keys_.view().subspan(0, 32); }
  base::Bytes tpsec_key() const { return keys_.view().subspan(0, 32); }

  // For decryption by XAES-256-GCM. It outlives the transaction, unlike a cipher context, and dies with the
  // DEK.
  DerivedKey& derived() const { return derived_; }

  // Differs for every Dek that this process ever makes, so that a kept context is never taken for another's.
  std::uint64_t serial() const { return serial_; }

 private:
  explicit Dek(base::Secret keys);

  base::Secret keys_;
  mutable DerivedKey derived_;
  std::uint64_t serial_;
};

}  // namespace trustpoint::keyring
