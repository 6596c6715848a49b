// Wait events: what pg_stat_activity shows while a backend waits for the token or the gate.
#pragma once

#include <cstdint>

namespace trustpoint::pg {

enum class Wait : std::uint8_t { kGate, kToken };

// From 17 on a named event, before that "Extension".
std::uint32_t WaitEvent(Wait wait);

}  // namespace trustpoint::pg
