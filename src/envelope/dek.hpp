// What a row of tp_dek binds and how its wrapped bytes are laid out.
//
//   payload = DEK(32) M(32)                       wrapped by RFC 3394: 72 bytes
//   M       = SHA-256("tpdek1" u32 id u8 purpose u32 len(name) name u8 len(KEK id) KEK id)
//
// The hash itself is made in src/keyring: this room knows no cryptography.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"

namespace trustpoint::envelope {

enum class Purpose : std::uint8_t { kData = 1, kIndex = 2, kTpsec = 3 };

inline constexpr std::size_t kDekSize = 32;
inline constexpr std::size_t kBindingSize = 32;  // M
inline constexpr std::size_t kPayloadSize = kDekSize + kBindingSize;
inline constexpr std::size_t kWrappedSize = kPayloadSize + 8;
inline constexpr std::size_t kKekIdSize = 16;
inline constexpr std::size_t kMaxDekNameSize = 63;

// "data", "index", "tpsec".
const char* PurposeName(Purpose purpose);
std::optional<Purpose> PurposeFromName(std::string_view name);

// The first six bytes of every KEK's CKA_ID: "tpkek" and a zero byte.
inline constexpr base::Block<6> kKekIdPrefix = {'t', 'p', 'k', 'e', 'k', 0};

// The bytes that M hashes, written to out; returns their number, at most kMaxBindingInputSize. name is at
// most kMaxDekNameSize bytes and kek_id at most 255.
inline constexpr std::size_t kMaxBindingInputSize = 6 + 4 + 1 + 4 + kMaxDekNameSize + 1 + 255;
std::size_t WriteBindingInput(std::uint32_t id, Purpose purpose, base::Bytes name, base::Bytes kek_id,
                              base::Block<kMaxBindingInputSize>& out) noexcept;

}  // namespace trustpoint::envelope
