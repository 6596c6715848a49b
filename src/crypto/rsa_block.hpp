// What goes into an RSA block and what comes out of one, where a token knows RSA but not the padding.
#pragma once

#include <cstddef>
#include <optional>

#include "base/bytes.hpp"
#include "crypto/algorithm.hpp"

namespace trustpoint::crypto {

inline constexpr std::size_t kMaxDigestInfoSize = 19 + kMaxHashSize;

// The DER that PKCS#1 v1.5 signs. Returns the bytes written to out, which has room for kMaxDigestInfoSize.
std::size_t WriteDigestInfo(const Digest& digest, base::MutableBytes out) noexcept;

// Takes the padding off a decrypted block, by OpenSSL's checks, which take the same time for every content.
// block: as long as the modulus; out: as long as block; label: of OAEP. nullopt for every fault alike; out is
// then wiped.
std::optional<std::size_t> UnpadRsaBlock(RsaPadding padding, base::Bytes block, base::MutableBytes out,
                                         base::Bytes label = {});

}  // namespace trustpoint::crypto
