// A field as Trustpoint stores it: text, AES-256-GCM under the raw DEK. Two forms, and '' for nothing:
//
//   today    "tpsec:v1:" base64(nonce 12, tag 16, ciphertext), AAD "trustpoint-app-secrets-v1"
//   before   base64(nonce 12, tag 16, ciphertext), no AAD; the plaintext ends in p zero bytes and one byte p,
//            0 <= p <= 15
//
// Neither names its DEK. Parsing and writing never allocate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"

namespace trustpoint::envelope {

enum class TpsecForm : std::uint8_t { kToday, kBefore };

inline constexpr std::string_view kTpsecPrefix = "tpsec:v1:";
inline constexpr std::size_t kTpsecNonceSize = 12;
inline constexpr std::size_t kTpsecTagSize = 16;
inline constexpr std::size_t kTpsecOverhead = kTpsecNonceSize + kTpsecTagSize;

// The AAD of each form.
base::Bytes TpsecAad(TpsecForm form) noexcept;

// A field's text, taken apart but not decoded.
struct TpsecText {
  TpsecForm form;
  std::string_view base64;
  std::size_t payload_size;  // decoded
};

// nullopt: in no form, by prefix, length and padding. The alphabet is checked by ReadBase64, when it is
// decoded.
std::optional<TpsecText> ParseTpsecText(std::string_view text) noexcept;

// The parts of a decoded payload, kTpsecOverhead bytes or more.
struct TpsecField {
  TpsecForm form;
  base::Bytes nonce;
  base::Bytes tag;
  base::Bytes ciphertext;
};
TpsecField SplitTpsec(TpsecForm form, base::Bytes payload) noexcept;

// Where the parts of a new payload go in its kTpsecOverhead + plaintext bytes.
struct TpsecSlots {
  base::MutableBytes nonce;
  base::MutableBytes tag;
  base::MutableBytes ciphertext;
};
TpsecSlots LayTpsec(base::MutableBytes payload) noexcept;

// The size of a decrypted plaintext without what its form adds to it; nullopt: it does not end as its form
// demands.
std::optional<std::size_t> TpsecPlaintextSize(TpsecForm form, base::Bytes padded) noexcept;

}  // namespace trustpoint::envelope
