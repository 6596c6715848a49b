// A key as the token describes it, on its way to a row of tp_token_key.
#pragma once

#include "pg/known_keys.hpp"
#include "pg/token_store.hpp"

namespace trustpoint::pg {

// Plain data; the texts are static.
struct Described {
  const char* type;
  unsigned bits;
  const char* curve;
  const char* usage;
  const char* mode;
  NewRow Row(const KeyId& id, const char* label) const {
    return {id, label, label, type, bits, curve, usage, mode};
  }
};

inline const char* UsageOf(const hsm::TokenKey& key) {
  if (key.type == crypto::KeyType::kAes) return key.can_decrypt ? "encrypt, decrypt" : "none";
  if (key.can_sign) return key.can_decrypt ? "sign, decrypt" : "sign";
  return key.can_decrypt ? "decrypt" : "none";
}

inline Described Describe(const hsm::TokenKey& key) {
  const bool ec = key.type == crypto::KeyType::kEc;
  return {crypto::KeyTypeName(key.type), ec ? crypto::CurveBits(key.curve) : key.bits,
          ec ? crypto::CurveName(key.curve) : nullptr, UsageOf(key),
          key.mode ? hsm::AesModeName(*key.mode) : nullptr};
}

}  // namespace trustpoint::pg
