// tp_status: what this backend holds. Never touches the token.
#include "base/secret.hpp"
#include "pg/backend.hpp"
#include "pg/module.hpp"
#include "pg/postgres.hpp"
#include "pg/result_row.hpp"
#include "pg/settings.hpp"
#include "pg/shared_cache.hpp"
#include "pg/statistics.hpp"

extern "C" {
#include "utils/guc.h"
}

namespace trustpoint::pg {

// tp_status() RETURNS one row
TP_SQL_FUNCTION(tp_status) {
  Backend& backend = ThisBackend();
  const pkcs11::Connection& connection = backend.connection;
  const pkcs11::TokenInfo& token = connection.token();
  const base::SecretMemoryStatus memory = base::SecretMemory();
  ResultRow row;
  row.TextOrNull(GetConfigOption("trustpoint.pkcs11_module", false, false));
  row.TokenTextOrNull(token.label.c_str());
  row.TokenTextOrNull(token.serial.c_str());
  row.Text(connection.started() && connection.level() >= pkcs11::Level::kToken ? "open" : "closed");
  row.Bigint(connection.epoch());
  row.Int(static_cast<int>(backend.deks.opened()));
  row.Bigint(memory.reserved);
  row.Bigint(memory.used);
  row.Bool(memory.locked);
  row.Text(envelope::SuiteName(CurrentSuite()));
  row.TextOrNull(backend.unknown_kek_attributes.c_str());
  const SharedCacheStatus shared = SharedCache();
  row.Bool(shared.on);
  row.Int(shared.deks);
  row.Bigint(shared.hits);
  row.Bigint(shared.misses);
  row.Bool(shared.locked);
  row.Bool(Preloaded());
  row.Text(GetConfigOption("trustpoint.redact_log", false, false));
  row.Bool(StatisticsAreShared());
  row.Time(StatisticsSince());
  return row.Composite(fcinfo);
}

}  // namespace trustpoint::pg
