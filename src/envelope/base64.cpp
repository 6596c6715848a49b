#include "envelope/base64.hpp"

#include <algorithm>
#include <array>

namespace trustpoint::envelope {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kNone = 0xFF;

constexpr std::array<std::uint8_t, 256> Values() {
  std::array<std::uint8_t, 256> values{};
  values.fill(kNone);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i)
    values[static_cast<std::uint8_t>(kAlphabet[i])] = static_cast<std::uint8_t>(i);
  return values;
}
constexpr std::array<std::uint8_t, 256> kValues = Values();

}  // namespace

void WriteBase64(base::Bytes bytes, base::MutableBytes text) noexcept {
  std::uint8_t* out = text.data();
  for (; !bytes.empty(); bytes = bytes.subspan(std::min<std::size_t>(3, bytes.size()))) {
    const std::size_t size = std::min<std::size_t>(3, bytes.size());
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i) bits = bits << 8 | (i < size ? bytes[i] : 0U);
    for (std::size_t i = 0; i < 4; ++i)
      *out++ = static_cast<std::uint8_t>(i <= size ? kAlphabet[bits >> (18 - 6 * i) & 63] : '=');
  }
}

std::optional<std::size_t> BytesInBase64(std::string_view text) noexcept {
  if (text.size() % 4 != 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  return text.size() / 4 * 3 - padding;
}

bool ReadBase64(std::string_view text, base::MutableBytes bytes) noexcept {
  if (BytesInBase64(text) != bytes.size()) return false;
  for (; !text.empty(); text = text.substr(4)) {
    const std::size_t size = std::min<std::size_t>(3, bytes.size());
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      // The characters after the last byte are the padding that was counted.
      const std::uint8_t value = i <= size ? kValues[static_cast<std::uint8_t>(text[i])] : 0;
      if (value == kNone) return false;
      bits = bits << 6 | value;
    }
    for (std::size_t i = 0; i < 3; ++i) {
      const auto byte = static_cast<std::uint8_t>(bits >> (16 - 8 * i));
      if (i < size)
        bytes[i] = byte;
      else if (byte != 0)
        return false;
    }
    bytes = bytes.subspan(size);
  }
  return true;
}

}  // namespace trustpoint::envelope
