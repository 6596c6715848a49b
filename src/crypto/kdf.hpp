// Hashes, HMAC and HKDF. Outputs go to the caller's buffer; intermediate secrets are wiped.
#pragma once

#include <initializer_list>
#include <string_view>

#include "base/bytes.hpp"

namespace trustpoint::crypto {

inline constexpr std::size_t kSha256Size = 32;

// The parts are hashed one after the other, as if they were joined.
using Parts = std::initializer_list<base::Bytes>;

base::Block<kSha256Size> Sha256(Parts parts);
base::Block<kSha256Size> HmacSha256(base::Bytes key, Parts parts);
// RFC 5869 with SHA-256 and an empty salt. out: at most 255 * 32 bytes.
void HkdfSha256(base::Bytes input_key, std::string_view info, base::MutableBytes out);
// Compares in a time that depends on the lengths alone. Different lengths are not equal.
bool ConstantTimeEqual(base::Bytes left, base::Bytes right) noexcept;

}  // namespace trustpoint::crypto
