#include "pg/drops.hpp"

#include "pg/postgres.hpp"
#include "pg/shared_cache.hpp"
#include "pg/statistics.hpp"

extern "C" {
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
}

namespace trustpoint::pg {
namespace {

object_access_hook_type next_hook = nullptr;
Oid dropped_database = InvalidOid;  // by this transaction

bool IsOurs(Oid extension) {
  const char* name = get_extension_name(extension);
  return name != nullptr && strcmp(name, "trustpoint") == 0;
}

// However the extension goes: by itself, with its schema, with its owner.
extern "C" void TrustpointSeesAccess(ObjectAccessType access, Oid kind, Oid object, int part,
                                     void* argument) {
  if (next_hook != nullptr) next_hook(access, kind, object, part, argument);
  if (access != OAT_DROP) return;
  if (kind == DatabaseRelationId) {
    MarkSharedDeksOutdated(object);
    dropped_database = object;
  }
  if (kind == ExtensionRelationId && IsOurs(object)) MarkSharedDeksOutdated(MyDatabaseId);
}

}  // namespace

void WatchDrops() {
  next_hook = object_access_hook;
  object_access_hook = TrustpointSeesAccess;
}

void SettleDrops(bool committed) {
  if (committed && OidIsValid(dropped_database)) GiveStatisticsUp(dropped_database);
  dropped_database = InvalidOid;
}

}  // namespace trustpoint::pg
