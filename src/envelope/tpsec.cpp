#include "envelope/tpsec.hpp"

#include <algorithm>

#include "envelope/base64.hpp"

namespace trustpoint::envelope {
namespace {

constexpr std::string_view kAad = "trustpoint-app-secrets-v1";
constexpr std::uint8_t kMaxPadding = 15;

}  // namespace

base::Bytes TpsecAad(TpsecForm form) noexcept {
  return form == TpsecForm::kToday ? base::AsBytes(kAad) : base::Bytes();
}

std::optional<TpsecText> ParseTpsecText(std::string_view text) noexcept {
  TpsecForm form = TpsecForm::kBefore;
  if (text.starts_with(kTpsecPrefix)) {
    form = TpsecForm::kToday;
    text.remove_prefix(kTpsecPrefix.size());
  }
  const std::optional<std::size_t> size = BytesInBase64(text);
  const std::size_t least = kTpsecOverhead + (form == TpsecForm::kBefore ? 1 : 0);  // the byte p at least
  if (!size || *size < least) return std::nullopt;
  return TpsecText{form, text, *size};
}

TpsecField SplitTpsec(TpsecForm form, base::Bytes payload) noexcept {
  return {form, payload.first(kTpsecNonceSize), payload.subspan(kTpsecNonceSize, kTpsecTagSize),
          payload.subspan(kTpsecOverhead)};
}

TpsecSlots LayTpsec(base::MutableBytes payload) noexcept {
  return {payload.first(kTpsecNonceSize), payload.subspan(kTpsecNonceSize, kTpsecTagSize),
          payload.subspan(kTpsecOverhead)};
}

std::optional<std::size_t> TpsecPlaintextSize(TpsecForm form, base::Bytes padded) noexcept {
  if (form == TpsecForm::kToday) return padded.size();
  if (padded.empty() || padded.back() > kMaxPadding || padded.back() >= padded.size()) return std::nullopt;
  const std::size_t size = padded.size() - 1 - padded.back();
  const base::Bytes zeros = padded.subspan(size, padded.back());
  if (!std::all_of(zeros.begin(), zeros.end(), [](std::uint8_t byte) { return byte == 0; }))
    return std::nullopt;
  return size;
}

}  // namespace trustpoint::envelope
