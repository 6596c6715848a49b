// tp_rotate_kek, tp_destroy_kek: a new KEK over all DEKs, without touching data, and the end of an old one.
#include "keyring/dek.hpp"
#include "pg/audit.hpp"
#include "pg/catalog.hpp"
#include "pg/keys.hpp"
#include "pg/new_kek.hpp"
#include "pg/rights.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/store.hpp"
#include "pg/token.hpp"
#include "pg/wrapped_deks.hpp"

namespace trustpoint::pg {
namespace {

using keyring::DekRow;
using keyring::KekRow;
using pkcs11::Connection;
using pkcs11::Level;
using pkcs11::Session;

// Each DEK is opened with every check of OpenDek before it is wrapped anew, and opened once more from what
// the new KEK made of it. Can be cancelled between two.
void WrapAll(const KekRow& new_kek, const WrappedDeks& deks) {
  int next = 0;
  while (next < deks.count) {
    CHECK_FOR_INTERRUPTS();
    RunOnToken(Level::kLogin, Gate::kForStart, [&](Connection& connection) {
      connection.Run(Level::kLogin, [&](Session& session) {
        keyring::Kek to(session, new_kek);
        for (; next < deks.count && !InterruptPending; ++next) {
          keyring::Kek from(session, deks.keks[next]);
          keyring::WrapDek(to, keyring::UnwrapDek(from, deks.rows[next]).view(), &deks.changed[next]);
        }
      });
    });
  }
}

// The DEKs that are wrapped by the KEK.
int CountDeksOf(const keyring::KekId& kek) {
  int count, wrapped = 0;
  const DekRow* rows = ReadAllDeks(&count);
  for (int i = 0; i < count; ++i)
    if (rows[i].state != keyring::DekState::kDestroyed && rows[i].kek_id == kek) ++wrapped;
  return wrapped;
}

}  // namespace

// tp_rotate_kek(new_label text) RETURNS int
TP_SQL_FUNCTION(tp_rotate_kek) {
  const Utf8 label = TextArgument(fcinfo, 0, "new_label");
  BeginKeyChange(fcinfo, "tp_rotate_kek()");
  (void)NewestKek();
  const KekRow kek = FindOrCreateNewKek(fcinfo, label.view());
  const WrappedDeks deks = ReadWrappedDeks();
  WrapAll(kek, deks);
  InsertKek(kek);
  const int count = StoreWrappedDeks(deks);
  AuditKey("rotate_kek", kek.label, 0);
  PG_RETURN_INT32(count);
}

// tp_destroy_kek(id bytea, label text) RETURNS void
TP_SQL_FUNCTION(tp_destroy_kek) {
  RequireArgument(fcinfo, 0, "id");
  const base::Bytes id = BytesArgument(fcinfo, 0);
  const Utf8 label = TextArgument(fcinfo, 1, "label");
  BeginIrrevocableChange(fcinfo, "tp_destroy_kek()");
  RequireOwner("destroy a KEK");
  keyring::KekId kek_id{};
  KekRow kek;
  if (id.size() == kek_id.size()) base::Copy(kek_id, id);
  if (id.size() != kek_id.size() || !ReadKek(kek_id, &kek) || label.view() != kek.label)
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no KEK with this id and label in tp_kek"),
             errhint("Give the id and the label of one row of tp_kek.")));
  const char* shown = ShownFromUtf8(kek.label);
  if (NewestKek().id == kek_id)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("the KEK \"%s\" is the one that wraps new DEKs", shown),
                    errhint("Make a new one with tp_rotate_kek first.")));
  if (const int count = CountDeksOf(kek_id); count > 0)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("%d DEKs are still wrapped by the KEK \"%s\"", count, shown),
                    errhint("tp_rotate_kek wraps them anew.")));
  DeleteKek(kek_id);
  bool destroyed = false;
  bool elsewhere = false;
  RunOnToken(Level::kLogin, Gate::kHeld, [&](Connection& connection) {
    connection.Run(Level::kLogin, [&](Session& session) {
      destroyed = keyring::DestroyKek(session, kek);
      elsewhere = !destroyed && connection.token().serial != kek.token_serial;
    });
  });
  if (elsewhere)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the KEK \"%s\" is not in this token", shown),
                    errdetail("Its row in tp_kek names token serial %s.", kek.token_serial),
                    errhint("Connect that token. If it is gone for good, delete the row.")));
  AuditKey("destroy_kek", kek.label, 0);
  ereport(
      NOTICE,
      (destroyed ? errmsg("the KEK \"%s\" is destroyed", shown)
                 : errmsg("the KEK \"%s\" was not in the token any more", shown),
       errdetail("Other databases on the token, backups of this one and copies of the token may know it.")));
  PG_RETURN_VOID();
}

}  // namespace trustpoint::pg
