// An ECDSA signature in its two forms: r and s side by side, as tokens give it, and ASN.1 DER.
#pragma once

#include <cstddef>

#include "base/bytes.hpp"

namespace trustpoint::crypto {

inline constexpr std::size_t kMaxEcdsaDerSize = 144;  // P-521 needs 139

// raw: r and s, each half of it. Returns the bytes written to der, which has room for kMaxEcdsaDerSize.
std::size_t EcdsaRawToDer(base::Bytes raw, base::MutableBytes der);
// raw: twice the curve's size. False when der is no signature of that size.
[[nodiscard]] bool EcdsaDerToRaw(base::Bytes der, base::MutableBytes raw);

}  // namespace trustpoint::crypto
