// A DEK as Trustpoint stores it, protected by its own KEK in the token:
//
//   before        8 random bytes, then AES-ECB(KEK, DEK)                        40 bytes
//   C_WrapKey     "tpsec:pkcs11:cwrap:v1:" and the wrapped key                  RFC 3394 or 5649: 40, PKCS#7:
//   48 C_Encrypt     "tpsec:pkcs11:enc-cbc-pad:v1:" iv 16, AES-CBC-PAD(KEK, DEK)   48
//                 "tpsec:pkcs11:enc-cbc:v1:" iv 16, AES-CBC(KEK, DEK)           32
//
// No form names a mechanism. Only what C_WrapKey gave has a check of its own.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.hpp"

namespace trustpoint::envelope {

enum class TpsecWrap : std::uint8_t { kEcb, kWrapKey, kCbcPad, kCbc };

struct TpsecDek {
  TpsecWrap wrap;
  base::Bytes iv;  // kCbcPad and kCbc only
  base::Bytes ciphertext;
};

// nullopt: in no form, by prefix and length.
std::optional<TpsecDek> ParseTpsecDek(base::Bytes wrapped) noexcept;

// Whether opening it proves that the key is the one that was wrapped.
constexpr bool ProvesItself(TpsecWrap wrap) { return wrap == TpsecWrap::kWrapKey; }

}  // namespace trustpoint::envelope
