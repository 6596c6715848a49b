// trustpoint.redact_log: what keeps statements, parameters and values out of the server log.
#pragma once

namespace trustpoint::pg {

void WatchLog();  // from _PG_init

// At the end of a transaction, which is not yet the end of the statement: its duration is logged later.
void SettleCalls();

}  // namespace trustpoint::pg
