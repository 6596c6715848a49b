// tp_check_host: what SQL cannot see of the machine. The rest of tp_check_config is SQL.
#include "base/secret.hpp"
#include "pg/backend.hpp"
#include "pg/boundary.hpp"
#include "pg/module.hpp"
#include "pg/postgres.hpp"
#include "pg/result_row.hpp"
#include "pg/settings.hpp"
#include "pg/shared_cache.hpp"

extern "C" {
#include "catalog/pg_authid.h"
#include "utils/acl.h"
}

namespace trustpoint::pg {
namespace {

void PutFinding(FunctionCallInfo fcinfo, const char* severity, const char* name, const char* detail,
                const char* remedy) {
  ResultRow row;
  row.Text(severity);
  row.Text(name);
  row.Text(detail);
  row.Text(remedy);
  row.Put(fcinfo);
}

}  // namespace

// tp_check_host() RETURNS TABLE
TP_SQL_FUNCTION(tp_check_host) {
  Backend& backend = ThisBackend();
  const bool show_paths = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_SETTINGS);
  Run([&] { backend.findings = pkcs11::FindExposures({CurrentConfig(), SoPinFile(), DataDir, show_paths}); });
  InitMaterializedSRF(fcinfo, 0);
  for (std::size_t i = 0; i < backend.findings.size(); ++i) {
    const pkcs11::Finding& finding = backend.findings[i];
    PutFinding(fcinfo, finding.severity, finding.name, finding.detail.c_str(), finding.remedy.c_str());
  }
  if (!base::SecretMemory().locked)
    PutFinding(fcinfo, "critical", "memory_lock",
               "The memory for keys could not be locked and may reach swap.",
               "LimitMEMLOCK=8M or more in the systemd unit, or ulimit -l, and restart");
  if (const SharedCacheStatus shared = SharedCache(); shared.on && !shared.locked)
    PutFinding(fcinfo, "critical", "shared_memory_lock",
               "The shared memory for keys could not be locked and may reach swap.",
               "LimitMEMLOCK=8M or more in the systemd unit, or ulimit -l, and restart");
  if (!Preloaded())
    PutFinding(fcinfo, "notice", "preload",
               "The library is not preloaded: trustpoint.redact_log works only in sessions that have used "
               "trustpoint, "
               "and statistics are those of each session.",
               "ALTER SYSTEM SET shared_preload_libraries = 'trustpoint' (behind what is there already), and "
               "restart");
  return Datum{0};
}

}  // namespace trustpoint::pg
