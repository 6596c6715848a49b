// What keeps the keys of the keyring out of reach: no function of this room touches one.
#pragma once

#include <string_view>

#include "base/bytes.hpp"

namespace trustpoint::hsm {

inline constexpr std::size_t kMaxLabelSize = 64;
inline constexpr std::size_t kKeyIdSize = 16;  // of the keys that we make

bool IsKekId(base::Bytes id) noexcept;                  // starts as every KEK's CKA_ID does
bool IsReservedLabel(std::string_view label) noexcept;  // starts with "trustpoint-"

// Throws kInvalidArgument for either. The labels in tp_kek are the caller's to compare.
void RefuseKek(base::Bytes id, std::string_view label);

// A label for a new key: 1 to kMaxLabelSize bytes of UTF-8 without control characters, not reserved. Throws
// kInvalidArgument.
void CheckNewLabel(std::string_view label);

}  // namespace trustpoint::hsm
