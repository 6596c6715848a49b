// Base64 of RFC 4648, section 4, strictly: no blanks, no other alphabet, padding in full, unused bits zero.
// So every run of bytes has exactly one text, and a changed text is never read as the same bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"

namespace trustpoint::envelope {

constexpr std::size_t Base64Size(std::size_t bytes) { return (bytes + 2) / 3 * 4; }

// text: Base64Size(bytes.size()) long. The bytes may not overlap it.
void WriteBase64(base::Bytes bytes, base::MutableBytes text) noexcept;

// How many bytes a text of this length and padding holds; nullopt: no base64.
std::optional<std::size_t> BytesInBase64(std::string_view text) noexcept;

// False: no base64. bytes: BytesInBase64(text) long.
[[nodiscard]] bool ReadBase64(std::string_view text, base::MutableBytes bytes) noexcept;

}  // namespace trustpoint::envelope
