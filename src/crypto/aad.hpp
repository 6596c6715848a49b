// Additional data in two parts, that a caller need not join: this joins them where they are short, as OpenSSL
// takes one piece in less time than two.
#pragma once

#include "base/bytes.hpp"

namespace trustpoint::crypto {

// take(part): false when it fails.
template <class Take>
bool TakeAad(base::Bytes head, base::Bytes tail, Take take) {
  std::uint8_t joined[256];
  const std::size_t size = head.size() + tail.size();
  if (size > sizeof joined) return take(head) && take(tail);
  base::Copy({joined, head.size()}, head);
  base::Copy({joined + head.size(), tail.size()}, tail);
  return take(base::Bytes(joined, size));
}

}  // namespace trustpoint::crypto
