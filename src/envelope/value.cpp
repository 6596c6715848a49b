#include "envelope/value.hpp"

namespace trustpoint::envelope {
namespace {

constexpr std::uint32_t kMaxKeyId = 0x7FFFFFFF;  // ids are PostgreSQL's int

bool IsSuite(std::uint8_t byte) {
  return byte == static_cast<std::uint8_t>(Suite::kXaes256Gcm) ||
         byte == static_cast<std::uint8_t>(Suite::kAes256Gcm);
}

}  // namespace

const char* SuiteName(Suite suite) { return suite == Suite::kXaes256Gcm ? "xaes-256-gcm" : "aes-256-gcm"; }

bool IsWellFormed(base::Bytes head, std::size_t size) noexcept {
  if (head.size() < kHeaderSize || !IsSuite(head[0]) || size < Overhead(static_cast<Suite>(head[0])))
    return false;
  const std::uint32_t key_id = base::GetU32(head.data() + 1);
  return key_id != 0 && key_id <= kMaxKeyId;
}

std::optional<Value> Parse(base::Bytes stored) noexcept {
  if (!IsWellFormed(stored, stored.size())) return std::nullopt;
  const auto suite = static_cast<Suite>(stored[0]);
  const std::size_t size = stored.size() - Overhead(suite);
  return Value{suite, base::GetU32(stored.data() + 1), stored.subspan(kHeaderSize, NonceSize(suite)),
               stored.subspan(kHeaderSize + NonceSize(suite), size), stored.last(kTagSize)};
}

ValueSlots Lay(Suite suite, std::uint32_t key_id, base::MutableBytes stored) noexcept {
  stored[0] = static_cast<std::uint8_t>(suite);
  base::PutU32(stored.data() + 1, key_id);
  const std::size_t size = stored.size() - Overhead(suite);
  return {stored.subspan(kHeaderSize, NonceSize(suite)), stored.subspan(kHeaderSize + NonceSize(suite), size),
          stored.last(kTagSize)};
}

base::Block<kAadHeadSize> AadHead(Suite suite, std::uint32_t key_id) noexcept {
  base::Block<kAadHeadSize> head = {'t', 'p', '1', static_cast<std::uint8_t>(suite)};
  base::PutU32(head.data() + 4, key_id);
  return head;
}

}  // namespace trustpoint::envelope
