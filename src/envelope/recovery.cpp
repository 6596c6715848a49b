#include "envelope/recovery.hpp"

namespace trustpoint::envelope {

std::optional<RecoveryExport> ParseRecovery(base::Bytes bytes) noexcept {
  if (bytes.size() <= kRecoveryHeadSize) return std::nullopt;
  if (base::AsText(bytes.first(kRecoveryMagic.size())) != kRecoveryMagic) return std::nullopt;
  const base::Bytes rest = bytes.subspan(kRecoveryMagic.size());
  return RecoveryExport{base::GetU32(rest.data()), rest.subspan(4, kKekIdSize), rest.subspan(4 + kKekIdSize)};
}

base::Block<kRecoveryHeadSize> RecoveryHead(std::uint32_t id, base::Block<kKekIdSize> kek_id) noexcept {
  base::Block<kRecoveryHeadSize> head;
  const base::MutableBytes rest = base::MutableBytes(head).subspan(kRecoveryMagic.size());
  base::Copy(head, base::AsBytes(kRecoveryMagic));
  base::PutU32(rest.data(), id);
  base::Copy(rest.subspan(4), kek_id);
  return head;
}

}  // namespace trustpoint::envelope
