// trustpoint.redact_log: what keeps statements, parameters and values out of the server log.
#pragma once

#include "pg/postgres.hpp"

extern "C" {
#include "access/xact.h"
}

namespace trustpoint::pg {

void WatchLog();  // from _PG_init

namespace internal {
extern TimestampTz statement_with_calls;
}

// The running statement has called a function of ours, whatever its text says. On the path of every value.
inline void NoteCall() { internal::statement_with_calls = GetCurrentStatementStartTimestamp(); }

}  // namespace trustpoint::pg
