// A DEK that left the database, encrypted to an offline RSA key (all integers big-endian):
//
//   export     = "tprec1" u32 id  KEK id(16)  ciphertext
//   ciphertext = RSA-OAEP-SHA-256(DEK(32), label = "tpdek-recovery1" M)       as long as the modulus
//
// M is that of the row when it was exported: id, purpose and name stay, and the KEK's id is the one in here,
// as the row may be under another KEK by now.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "envelope/dek.hpp"

namespace trustpoint::envelope {

inline constexpr std::string_view kRecoveryMagic = "tprec1";
inline constexpr std::string_view kRecoveryLabel = "tpdek-recovery1";
inline constexpr std::size_t kRecoveryLabelSize = 15 + kBindingSize;
inline constexpr std::size_t kRecoveryHeadSize = 6 + 4 + kKekIdSize;

// Views into the exported bytes.
struct RecoveryExport {
  std::uint32_t id;
  base::Bytes kek_id;
  base::Bytes ciphertext;
};

// nullopt: not of this form. Says nothing of the ciphertext.
std::optional<RecoveryExport> ParseRecovery(base::Bytes bytes) noexcept;

base::Block<kRecoveryHeadSize> RecoveryHead(std::uint32_t id, base::Block<kKekIdSize> kek_id) noexcept;

}  // namespace trustpoint::envelope
