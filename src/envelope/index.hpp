// What a blind index is made over:
//
//   index = HMAC-SHA-256(index subkey, "tpidx1" type(1) u32 len(context) context value)       32 bytes
//
// Text is UTF-8. Its type is part of it, so that text and bytea never share an index by accident.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.hpp"

namespace trustpoint::envelope {

enum class IndexType : std::uint8_t { kText = 1, kBytea = 2 };

inline constexpr std::size_t kIndexSize = 32;

// What comes before the context and the value. context_size: below 2^32.
inline constexpr std::size_t kIndexHeadSize = 11;
inline base::Block<kIndexHeadSize> IndexHead(IndexType type, std::size_t context_size) noexcept {
  base::Block<kIndexHeadSize> head = {'t', 'p', 'i', 'd', 'x', '1', static_cast<std::uint8_t>(type)};
  base::PutU32(head.data() + 7, static_cast<std::uint32_t>(context_size));
  return head;
}

}  // namespace trustpoint::envelope
