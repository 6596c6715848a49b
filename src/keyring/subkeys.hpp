// What is derived from a DEK: one subkey for each use, and the value that proves the DEK before any use.
#pragma once

#include <utility>

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "crypto/expanded_key.hpp"
#include "crypto/kdf.hpp"
#include "crypto/xaes.hpp"
#include "envelope/dek.hpp"
#include "envelope/value.hpp"
#include "keyring/rows.hpp"

namespace trustpoint::keyring {

using Binding = base::Block<envelope::kBindingSize>;

// M of the design: what a wrapped DEK is bound to.
Binding BindingOf(const DekRow& row);

// HMAC-SHA-256(HKDF(DEK, "trustpoint check v1"), M).
base::Block<32> CheckValue(base::Bytes dek, const Binding& binding);

// What the cipher contexts of this process keep of a DEK, in locked memory. It outlives the transaction,
// unlike the contexts.
struct KeptKeys {
  // Of the two that derive keys for XAES-256-GCM.
  crypto::ExpandedKey encrypting, decrypting;
  // The key that short values were last decrypted with. Rows that were written together share their prefix.
  struct {
    envelope::Suite suite;
    base::Block<crypto::kXaesPrefixSize> prefix;
    crypto::ExpandedKey key;
  } last = {};
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

  KeptKeys& kept() const { return kept_; }

  // Differs for every Dek that this process ever makes, so that a kept context is never taken for another's.
  std::uint64_t serial() const { return serial_; }

 private:
  explicit Dek(base::Secret keys);

  base::Secret keys_;
  mutable KeptKeys kept_;
  std::uint64_t serial_;
};

}  // namespace trustpoint::keyring
