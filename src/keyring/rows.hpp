// The rows of tp_kek and tp_dek as plain data: src/pg fills them from the tables, this room trusts none of
// it.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "base/bytes.hpp"
#include "envelope/dek.hpp"

namespace trustpoint::keyring {

using KekId = base::Block<envelope::kKekIdSize>;

inline constexpr std::size_t kMaxLabelSize = 32;   // as long as a token label; ours, not a limit of PKCS#11
inline constexpr std::size_t kProbeSize = 32 + 8;  // a wrapped SHA-256

// How the KEK serves: the design's "use" column.
enum class KekUse : std::uint8_t { kWrap, kEncrypt };

struct KekRow {
  KekId id;
  char label[kMaxLabelSize + 1];  // UTF-8
  char token_serial[17];
  KekUse use;
  base::Block<kProbeSize> probe;
};

enum class DekState : std::uint8_t { kActive, kRetired, kDisabled, kDestroyed };

struct DekRow {
  std::uint32_t id;
  envelope::Purpose purpose;
  DekState state;
  std::uint8_t name_size;
  char name[envelope::kMaxDekNameSize + 1];  // UTF-8
  KekId kek_id;
  base::Block<envelope::kWrappedSize> wrapped;  // zeros when destroyed
  base::Block<32> check_value;

  std::string_view name_view() const { return {name, name_size}; }
};

// Whether both rows are of one DEK in one wrapping: a key that was opened for one vouches for the other, in
// this process or another. Purpose, name and KEK are part of what the DEK was checked against.
inline bool HaveSameDek(const DekRow& left, const DekRow& right) {
  return left.id == right.id && left.wrapped == right.wrapped && left.check_value == right.check_value &&
         left.kek_id == right.kek_id && left.purpose == right.purpose &&
         left.name_view() == right.name_view();
}

static_assert(std::is_trivially_copyable_v<KekRow> && std::is_trivially_copyable_v<DekRow>);

}  // namespace trustpoint::keyring
