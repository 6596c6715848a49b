// A whole stored value from the parts that crypto and envelope offer, in the plainest way.
#pragma once

#include <optional>

#include "crypto/gcm.hpp"
#include "crypto/kdf.hpp"
#include "crypto/xaes.hpp"
#include "envelope/value.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::test {

// The GCM key of a value.
inline Buffer ValueKey(envelope::Suite suite, base::Bytes dek, base::Bytes nonce) {
  Buffer key(crypto::kKeySize);
  if (suite == envelope::Suite::kAes256Gcm) {
    crypto::HkdfSha256(dek, "trustpoint data aes-256-gcm v1", key);
    return key;
  }
  Buffer subkey(crypto::kKeySize);
  crypto::HkdfSha256(dek, "trustpoint data xaes-256-gcm v1", subkey);
  crypto::XaesDeriver deriver;
  deriver.SetKey(subkey);
  deriver.Derive(nonce.first(crypto::kXaesPrefixSize), key);
  return key;
}

inline Buffer SealValue(envelope::Suite suite, std::uint32_t key_id, base::Bytes dek, base::Bytes nonce,
                        base::Bytes context, base::Bytes plaintext) {
  Buffer stored(envelope::Overhead(suite) + plaintext.size());
  const envelope::ValueSlots slots = envelope::Lay(suite, key_id, stored);
  base::Copy(slots.nonce, nonce);
  crypto::GcmSealer sealer;
  sealer.SetKey(ValueKey(suite, dek, nonce));
  sealer.Seal(nonce.last(crypto::kGcmNonceSize), envelope::AadHead(suite, key_id), context, plaintext,
              slots.ciphertext, slots.tag);
  return stored;
}

// nullopt: no value, or not authentic.
inline std::optional<Buffer> OpenValue(base::Bytes stored, base::Bytes dek, base::Bytes context) {
  const auto value = envelope::Parse(stored);
  if (!value) return std::nullopt;
  crypto::GcmOpener opener;
  opener.SetKey(ValueKey(value->suite, dek, value->nonce));
  Buffer plaintext(value->ciphertext.size());
  if (!opener.Open(value->nonce.last(crypto::kGcmNonceSize), envelope::AadHead(value->suite, value->key_id),
                   context, value->ciphertext, value->tag, plaintext))
    return std::nullopt;
  return plaintext;
}

}  // namespace trustpoint::test
