// tp_setup, tp_create_dek, tp_rotate_dek, tp_verify_keys, tp_load_dek, tp_forget_keys, and the trigger that
// tells every backend of a change.
#include <optional>

#include "keyring/dek.hpp"
#include "pg/audit.hpp"
#include "pg/catalog.hpp"
#include "pg/keys.hpp"
#include "pg/new_dek.hpp"
#include "pg/new_kek.hpp"
#include "pg/result_row.hpp"
#include "pg/settings.hpp"
#include "pg/shared_cache.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/store.hpp"
#include "pg/token.hpp"

extern "C" {
#include "commands/trigger.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"
}

namespace trustpoint::pg {
namespace {

using envelope::Purpose;
using keyring::DekRow;
using keyring::KekRow;
using pkcs11::Connection;
using pkcs11::Level;
using pkcs11::Session;

Purpose PurposeArgument(FunctionCallInfo fcinfo, int number) {
  const Utf8 name = TextArgument(fcinfo, number, "purpose");
  const std::optional<Purpose> purpose = envelope::PurposeFromName(name.view());
  if (!purpose || *purpose == Purpose::kTpsec)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown purpose of a DEK"),
                    errhint("Use 'data' or 'index'. A DEK of purpose 'tpsec' is only ever imported.")));
  return *purpose;
}

std::uint32_t CreateDek(const KekRow& kek_row, Purpose purpose, std::string_view name) {
  DekRow row = NewDekRow(purpose, name);
  RunOnToken(Level::kLogin, Gate::kForStart, [&](Connection& connection) {
    connection.Run(Level::kLogin, [&](Session& session) {
      keyring::Kek kek(session, kek_row);
      keyring::MakeDek(session, kek, &row);
    });
  });
  InsertDek(row);
  return row.id;
}

// What is wrong with a key itself, and not with the way to the token.
bool ConcernsKey(base::ErrorCode code) {
  using base::ErrorCode;
  return code == ErrorCode::kDamagedKey || code == ErrorCode::kWrongKek || code == ErrorCode::kNotFound ||
         code == ErrorCode::kExists;
}

// Opens each row on the token; problems[i].message stays empty where all is well. Can be cancelled between
// two rows.
void VerifyAll(const DekRow* rows, int count, base::Failure* problems) {
  auto* keks = static_cast<KekRow*>(palloc(sizeof(KekRow) * (count + 1)));
  for (int i = 0; i < count; ++i)
    if (rows[i].state != keyring::DekState::kDestroyed && !ReadKek(rows[i].kek_id, &keks[i]))
      snprintf(problems[i].message, sizeof problems[i].message, "the KEK of DEK %u is not in tp_kek",
               rows[i].id);
  int next = 0;
  while (next < count) {
    CHECK_FOR_INTERRUPTS();
    RunOnToken(Level::kLogin, Gate::kForStart, [&](Connection& connection) {
      connection.Run(Level::kLogin, [&](Session& session) {
        for (; next < count && !InterruptPending; ++next) {
          if (rows[next].state == keyring::DekState::kDestroyed || problems[next].message[0] != '\0')
            continue;
          try {
            keyring::Kek kek(session, keks[next]);
            (void)keyring::OpenDek(kek, rows[next]);
          } catch (const base::Error& error) {
            if (!ConcernsKey(error.code())) throw;
            problems[next] = error.failure();
          }
        }
      });
    });
  }
}

KekRow SetUpKek(FunctionCallInfo fcinfo) {
  const KekRow kek = FindOrCreateKek(fcinfo, KekLabel().view());
  InsertKek(kek);
  AuditKey("setup_kek", kek.label, 0);
  return kek;
}

}  // namespace

// tp_setup() RETURNS int
TP_SQL_FUNCTION(tp_setup) {
  constexpr std::string_view kDefault = "default";
  BeginKeyChange(fcinfo, "tp_setup()");
  KekRow kek;
  if (!ReadNewestKek(&kek)) kek = SetUpKek(fcinfo);
  DekRow row;
  bool exists;
  if (ReadActiveDek(Purpose::kData, kDefault, &row, &exists)) {
    VerifyDek(row);
    PG_RETURN_INT32(static_cast<int32>(row.id));
  }
  const std::uint32_t id = CreateDek(kek, Purpose::kData, kDefault);
  AuditKey("create_dek", "default", id);
  PG_RETURN_INT32(static_cast<int32>(id));
}

// tp_create_dek(name text, purpose text) RETURNS int
TP_SQL_FUNCTION(tp_create_dek) {
  const Utf8 name = TextArgument(fcinfo, 0, "name");
  CheckDekName(name.view());
  const Purpose purpose = PurposeArgument(fcinfo, 1);
  BeginKeyChange(fcinfo, "tp_create_dek()");
  DekRow row;
  bool exists;
  if (ReadActiveDek(purpose, name.view(), &row, &exists) || exists)
    ereport(ERROR,
            (errcode(ERRCODE_DUPLICATE_OBJECT),
             errmsg("there is a DEK with this name for purpose \"%s\"", envelope::PurposeName(purpose)),
             errhint("A new version of it is made by tp_rotate_dek.")));
  const std::uint32_t id = CreateDek(NewestKek(), purpose, name.view());
  AuditKey("create_dek", pnstrdup(name.data, name.size), id);
  PG_RETURN_INT32(static_cast<int32>(id));
}

// tp_rotate_dek(name text, purpose text) RETURNS int
TP_SQL_FUNCTION(tp_rotate_dek) {
  const Utf8 name = TextArgument(fcinfo, 0, "name");
  const Purpose purpose = PurposeArgument(fcinfo, 1);
  BeginKeyChange(fcinfo, "tp_rotate_dek()");
  DekRow row;
  bool exists;
  if (!ReadActiveDek(purpose, name.view(), &row, &exists) && !exists)
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_OBJECT),
             errmsg("there is no DEK with this name for purpose \"%s\"", envelope::PurposeName(purpose)),
             errhint("The first version is made by tp_create_dek.")));
  const KekRow kek = NewestKek();
  RetireDeks(purpose, name.view());
  const std::uint32_t id = CreateDek(kek, purpose, name.view());
  AuditKey("rotate_dek", pnstrdup(name.data, name.size), id);
  PG_RETURN_INT32(static_cast<int32>(id));
}

// tp_verify_keys() RETURNS TABLE (id int, name text, purpose text, state text, ok boolean, problem text)
TP_SQL_FUNCTION(tp_verify_keys) {
  FindTables(fcinfo);
  int count;
  DekRow* rows = ReadAllDeks(&count);
  auto* problems = static_cast<base::Failure*>(palloc0(sizeof(base::Failure) * (count + 1)));
  VerifyAll(rows, count, problems);
  for (int i = 0; i < count; ++i) {
    // Meanwhile tp_rotate_kek and tp_destroy_kek may have taken a KEK away: then the row of now counts.
    DekRow now;
    while (problems[i].message[0] != '\0' && ReadDek(rows[i].id, &now) && now.kek_id != rows[i].kek_id) {
      rows[i] = now;
      problems[i] = {};
      VerifyAll(&rows[i], 1, &problems[i]);
    }
  }
  InitMaterializedSRF(fcinfo, 0);
  for (int i = 0; i < count; ++i) {
    ResultRow row;
    row.Int(static_cast<int>(rows[i].id));
    row.Utf8Text(rows[i].name);
    row.Text(envelope::PurposeName(rows[i].purpose));
    row.Text(StateName(rows[i].state));
    row.Bool(problems[i].message[0] == '\0');
    row.TokenTextOrNull(problems[i].message);
    row.Put(fcinfo);
  }
  return Datum{0};
}

// tp_load_dek(name text) RETURNS int
TP_SQL_FUNCTION(tp_load_dek) {
  const Utf8 name = TextArgument(fcinfo, 0, "name");
  RefreshKeys(fcinfo);
  PG_RETURN_INT32(static_cast<int32>(DekForName(Purpose::kData, name.view(), Capability::kLoad)->row.id));
}

// tp_forget_keys() RETURNS int
TP_SQL_FUNCTION(tp_forget_keys) {
  ForgetSharedDeks(MyDatabaseId);
  Backend* backend = ExistingBackend();
  if (backend == nullptr) PG_RETURN_INT32(0);
  backend->WipeContexts();
  PG_RETURN_INT32(static_cast<int32>(backend->deks.Wipe()));
}

// tp_keys_changed() RETURNS trigger
//
// Row changes of a user table tell nobody. A relcache invalidation reaches every backend, and goes with the
// transaction: sent at commit, dropped at rollback.
TP_SQL_FUNCTION(tp_keys_changed) {
  if (!CALLED_AS_TRIGGER(fcinfo))
    ereport(ERROR,
            (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED), errmsg("tp_keys_changed is a trigger")));
  auto* trigger = reinterpret_cast<TriggerData*>(fcinfo->context);
  CacheInvalidateRelcacheByRelid(RelationGetRelid(trigger->tg_relation));
  const Tables& tables = FindTables(fcinfo);
  const Oid changed = RelationGetRelid(trigger->tg_relation);
  if (changed == tables.dek || changed == KekTable()) MarkSharedDeksOutdated(MyDatabaseId);
  return PointerGetDatum(nullptr);  // an AFTER trigger
}

}  // namespace trustpoint::pg
