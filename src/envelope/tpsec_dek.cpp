#include "envelope/tpsec_dek.hpp"

#include <string_view>

namespace trustpoint::envelope {
namespace {

constexpr std::size_t kDekSize = 32, kBlockSize = 16, kWrapSize = 8;
constexpr std::size_t kFillSize = 8;  // random, before the ECB form; it binds nothing

struct Prefixed {
  std::string_view prefix;
  TpsecWrap wrap;
};
constexpr Prefixed kPrefixed[] = {
    {"tpsec:pkcs11:cwrap:v1:", TpsecWrap::kWrapKey},
    {"tpsec:pkcs11:enc-cbc-pad:v1:", TpsecWrap::kCbcPad},
    {"tpsec:pkcs11:enc-cbc:v1:", TpsecWrap::kCbc},
};

bool IsSize(TpsecWrap wrap, std::size_t size) {
  switch (wrap) {
    case TpsecWrap::kEcb:
      return size == kFillSize + kDekSize;
    case TpsecWrap::kWrapKey:  // PKCS#7 makes five words of the DEK's four before they are wrapped
      return size == kDekSize + kWrapSize || size == kDekSize + 2 * kWrapSize;
    case TpsecWrap::kCbcPad:
      return size == kBlockSize + kDekSize + kBlockSize;
    case TpsecWrap::kCbc:
      return size == kBlockSize + kDekSize;
  }
  return false;
}

std::optional<TpsecDek> Split(TpsecWrap wrap, base::Bytes payload) {
  if (!IsSize(wrap, payload.size())) return std::nullopt;
  switch (wrap) {
    case TpsecWrap::kEcb:
      return TpsecDek{wrap, {}, payload.subspan(kFillSize)};
    case TpsecWrap::kWrapKey:
      return TpsecDek{wrap, {}, payload};
    case TpsecWrap::kCbcPad:
    case TpsecWrap::kCbc:
      return TpsecDek{wrap, payload.first(kBlockSize), payload.subspan(kBlockSize)};
  }
  return std::nullopt;
}

}  // namespace

std::optional<TpsecDek> ParseTpsecDek(base::Bytes wrapped) noexcept {
  const std::string_view text = base::AsText(wrapped);
  for (const Prefixed& known : kPrefixed)
    if (text.starts_with(known.prefix)) return Split(known.wrap, wrapped.subspan(known.prefix.size()));
  // A prefix of a later version is never taken for the random bytes of the form without one.
  if (text.starts_with("tpsec:")) return std::nullopt;
  return Split(TpsecWrap::kEcb, wrapped);
}

}  // namespace trustpoint::envelope
