// What the functions on stored values share: bytes for a body to fill, and the two refusals of a value.
#pragma once

#include "base/bytes.hpp"
#include "envelope/value.hpp"
#include "pg/postgres.hpp"

namespace trustpoint::pg {

// A bytea or text of size bytes, not initialised. May ereport, as everything here but Content.
struct varlena* AllocateVarlena(size_t size);
base::MutableBytes Content(struct varlena* value);

// Raises 22P03 when it is none.
envelope::Value ParseValue(base::Bytes stored);
// Raises 22000: one message for a wrong context, a wrong key and changed bytes.
[[noreturn]] void RaiseNotAuthentic();

}  // namespace trustpoint::pg
