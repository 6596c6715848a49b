// The name under which an opened DEK may be shared between processes: whoever holds the same row finds it,
// and nobody else.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "keyring/rows.hpp"

namespace trustpoint::keyring {

// SHA-256(database || id || M || wrapped || check value): a row that differs in any of them has another name.
using SharedName = base::Block<32>;

SharedName SharedNameOf(std::uint32_t database, const DekRow& row);

}  // namespace trustpoint::keyring
