// trustpoint.redact_log: what keeps statements, parameters and values out of the server log.
#pragma once

namespace trustpoint::pg {

void WatchLog();  // from _PG_init

}  // namespace trustpoint::pg
