// tp_disable_dek, tp_enable_dek, tp_destroy_dek: taking a DEK out of service, back, and away for good.
//
// A transaction that encrypted before the DEK was retired may commit its values much later. So what takes a
// DEK away waits for all of them, and destruction, which cannot be undone, does not go on after such a wait:
// in the whole transaction, but for DEKs that were disabled before it, as nobody has encrypted under those.
#include "pg/audit.hpp"
#include "pg/catalog.hpp"
#include "pg/keys.hpp"
#include "pg/postgres.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/store.hpp"

namespace trustpoint::pg {
namespace {

using keyring::DekRow;
using keyring::DekState;

[[noreturn]] void RaiseWrongState(const DekRow& row, const char* needed) {
  ereport(ERROR,
          (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
           errmsg("DEK %u (%s) is %s, not %s", row.id, ShownFromUtf8(row.name), StateName(row.state), needed),
           row.state == DekState::kActive && strcmp(needed, "disabled") != 0
               ? errhint("It encrypts new values. Make a new version with tp_rotate_dek first.")
               : 0));
  pg_unreachable();
}

}  // namespace

// tp_disable_dek(id int) RETURNS void
TP_SQL_FUNCTION(tp_disable_dek) {
  RequireArgument(fcinfo, 0, "id");
  BeginKeyRemoval(fcinfo, "tp_disable_dek()");
  const DekRow row = ExistingDek(PG_GETARG_INT32(0));
  if (row.state != DekState::kRetired) RaiseWrongState(row, "retired");
  UpdateDekState(row.id, DekState::kDisabled);
  AuditKey("disable_dek", row.name, row.id);
  PG_RETURN_VOID();
}

// tp_enable_dek(id int) RETURNS void
TP_SQL_FUNCTION(tp_enable_dek) {
  RequireArgument(fcinfo, 0, "id");
  BeginKeyChange(fcinfo, "tp_enable_dek()");
  const DekRow row = ExistingDek(PG_GETARG_INT32(0));
  if (row.state != DekState::kDisabled) RaiseWrongState(row, "disabled");
  UpdateDekState(row.id, DekState::kRetired);
  AuditKey("enable_dek", row.name, row.id);
  PG_RETURN_VOID();
}

// tp_destroy_dek(id int, name text) RETURNS void
TP_SQL_FUNCTION(tp_destroy_dek) {
  RequireArgument(fcinfo, 0, "id");
  const Utf8 name = TextArgument(fcinfo, 1, "name");
  BeginKeyRemoval(fcinfo, "tp_destroy_dek()");
  const DekRow row = ExistingDek(PG_GETARG_INT32(0));
  if (row.name_view() != name.view())
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("DEK %u has another name; nothing was destroyed", row.id),
                    errhint("Give the id and the name of one row of tp_keyring.")));
  if (row.state != DekState::kRetired && row.state != DekState::kDisabled)
    RaiseWrongState(row, "retired or disabled");
  if (MayHaveUnseenValues(row.id))
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("DEK %u (%s) was not destroyed: transactions that may have encrypted have only ended now",
                    row.id, ShownFromUtf8(row.name)),
             errdetail("They may have left values under it that nobody could see before."),
             errhint("Look with tp_key_usage again, then repeat the call. tp_disable_dek(%u), committed "
                     "beforehand, makes it sure.",
                     row.id)));
  DestroyDek(row.id);
  AuditKey("destroy_dek", row.name, row.id);
  PG_RETURN_VOID();
}

}  // namespace trustpoint::pg
