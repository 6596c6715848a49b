#include "pg/store.hpp"

#include <algorithm>

#include "pg/catalog.hpp"
#include "pg/keys.hpp"
#include "pg/rights.hpp"
#include "pg/text.hpp"
#include "pg/transaction_lock.hpp"
#include "pg/write.hpp"

extern "C" {
#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
}

namespace trustpoint::pg {
namespace {

// The end of the WAL that has been made. GetXLogInsertRecPtr() tells where the next record begins: when the
// last one fills its page, that is behind a header which is not there yet, and which XLogFlush would miss.
XLogRecPtr EndOfWal() {
  const XLogRecPtr next = GetXLogInsertRecPtr();
  const auto in_segment = XLogSegmentOffset(next, wal_segment_size);
  const auto header = in_segment < XLOG_BLCKSZ ? SizeOfXLogLongPHD : SizeOfXLogShortPHD;
  return in_segment % XLOG_BLCKSZ == header ? next - header : next;
}

// The last transaction that had to wait for encryptors; and, in its memory, which DEKs were disabled before.
FullTransactionId waited_in = InvalidFullTransactionId;
std::uint32_t* disabled_before = nullptr;
int disabled_count = 0;

bool HasWaited() { return FullTransactionIdEquals(waited_in, GetTopFullTransactionId()); }

// Before it waits: who waits once more had been cancelled, and then the first time counts.
void NoteWait() {
  if (HasWaited()) return;
  int count;
  keyring::DekRow* rows = ReadAllDeks(&count);
  const auto size = static_cast<Size>(count + 1) * sizeof(std::uint32_t);
  disabled_before = static_cast<std::uint32_t*>(MemoryContextAlloc(TopTransactionContext, size));
  disabled_count = 0;
  for (int i = 0; i < count; ++i)
    if (rows[i].state == keyring::DekState::kDisabled) disabled_before[disabled_count++] = rows[i].id;
  pfree(rows);
  waited_in = GetTopFullTransactionId();
}

}  // namespace

void BeginKeyChange(FunctionCallInfo fcinfo, const char* function) {
  PreventCommandDuringRecovery(function);
  PreventCommandIfReadOnly(function);
  FindTables(fcinfo);
  RequireKeysGrant();
  LockRelationOid(KnownTables().dek, ShareUpdateExclusiveLock);
}

void BeginKeyRemoval(FunctionCallInfo fcinfo, const char* function) {
  PreventCommandDuringRecovery(function);
  PreventCommandIfReadOnly(function);
  const Oid table = FindTables(fcinfo).dek;
  RequireKeysGrant();
  // Our own lock would not stop us.
  if (HasEncrypted(table))
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("%s cannot follow tp_encrypt or tp_rewrap in one transaction", function),
             errdetail("Values of this transaction may be under the DEK."), errhint("Commit them first.")));
  if (!ConditionalLockRelationOid(table, ExclusiveLock)) NoteWait();
  // Were it freed by a savepoint's rollback, others could encrypt and commit before the next removal.
  LockForTransaction(table, ExclusiveLock);
}

bool MayHaveUnseenValues(std::uint32_t id) {
  const auto is_it = [id](std::uint32_t other) { return other == id; };
  return HasWaited() && std::none_of(disabled_before, disabled_before + disabled_count, is_it);
}

void BeginIrrevocableChange(FunctionCallInfo fcinfo, const char* function) {
  PreventCommandDuringRecovery(function);
  PreventCommandIfReadOnly(function);
  if (TransactionIdIsValid(GetTopTransactionIdIfAny()))
    ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                    errmsg("%s must be the first change of its transaction", function),
                    errdetail("A rollback would bring back what the transaction has changed before."),
                    errhint("Commit that first.")));
  LockRelationOid(FindTables(fcinfo).dek, ShareRowExclusiveLock);
  XLogFlush(EndOfWal());  // with synchronous_commit off, commits may still be in memory
}

void InsertKek(const keyring::KekRow& row) {
  Oid types[] = {BYTEAOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID};
  Datum values[] = {BytesValue(row.id), TextValue(row.label), TextValue(row.token_serial),
                    TextValue(row.use == keyring::KekUse::kWrap ? "wrap" : "encrypt"), BytesValue(row.probe)};
  const char* table = QualifiedName(KekTable());
  Execute(
      psprintf("INSERT INTO %s (id, label, token_serial, use, probe, created_at) SELECT $1, $2, $3, $4, $5,"
               " greatest(clock_timestamp(), max(created_at) + interval '1 us') FROM %s",
               table, table),
      5, types, values);
}

void InsertDek(const keyring::DekRow& row) {
  Oid types[] = {INT4OID, TEXTOID, TEXTOID, BYTEAOID, BYTEAOID, BYTEAOID};
  Datum values[] = {Int32GetDatum(static_cast<int32>(row.id)),
                    TextValue(row.name_view()),
                    TextValue(envelope::PurposeName(row.purpose)),
                    BytesValue(row.kek_id),
                    BytesValue(row.wrapped),
                    BytesValue(row.check_value)};
  const char* table = QualifiedName(KnownTables().dek);
  Execute(psprintf("INSERT INTO %s (id, name, purpose, state, kek_id, wrapped, check_value, created_at)"
                   " SELECT $1, $2, $3, 'active', $4, $5, $6,"
                   " greatest(clock_timestamp(), max(created_at) + interval '1 us')"
                   " FROM %s WHERE name = $2 AND purpose = $3",
                   table, table),
          6, types, values);
}

void RetireDeks(envelope::Purpose purpose, std::string_view name) {
  Oid types[] = {TEXTOID, TEXTOID};
  Datum values[] = {TextValue(name), TextValue(envelope::PurposeName(purpose))};
  Execute(psprintf("UPDATE %s SET state = 'retired', state_changed_at = clock_timestamp()"
                   " WHERE name = $1 AND purpose = $2 AND state = 'active'",
                   QualifiedName(KnownTables().dek)),
          2, types, values);
  keyring::DekRow left;
  bool exists;
  if (ReadActiveDek(purpose, name, &left, &exists)) RaiseChanged(psprintf("DEK %u", left.id));
}

void UpdateDekState(std::uint32_t id, keyring::DekState state) {
  Oid types[] = {INT4OID, TEXTOID};
  Datum values[] = {Int32GetDatum(static_cast<int32>(id)), TextValue(StateName(state))};
  ExecuteOnRow(psprintf("DEK %u", id),
               psprintf("UPDATE %s SET state = $2, state_changed_at = clock_timestamp() WHERE id = $1",
                        QualifiedName(KnownTables().dek)),
               2, types, values);
}

void DestroyDek(std::uint32_t id) {
  Oid types[] = {INT4OID};
  Datum values[] = {Int32GetDatum(static_cast<int32>(id))};
  ExecuteOnRow(
      psprintf("DEK %u", id),
      psprintf("UPDATE %s SET state = 'destroyed', wrapped = NULL, state_changed_at = clock_timestamp()"
               " WHERE id = $1",
               QualifiedName(KnownTables().dek)),
      1, types, values);
}

void UpdateDekKey(const keyring::DekRow& before, const keyring::DekRow& row) {
  Oid types[] = {INT4OID, BYTEAOID, BYTEAOID, BYTEAOID, BYTEAOID};
  Datum values[] = {Int32GetDatum(static_cast<int32>(row.id)), BytesValue(row.kek_id),
                    BytesValue(row.wrapped), BytesValue(row.check_value), BytesValue(before.wrapped)};
  ExecuteOnRow(psprintf("DEK %u", row.id),
               psprintf("UPDATE %s SET kek_id = $2, wrapped = $3, check_value = $4"
                        " WHERE id = $1 AND wrapped = $5",
                        QualifiedName(KnownTables().dek)),
               5, types, values);
}

void DeleteKek(const keyring::KekId& id) {
  Oid types[] = {BYTEAOID};
  Datum values[] = {BytesValue(id)};
  ExecuteOnRow("the KEK", psprintf("DELETE FROM %s WHERE id = $1", QualifiedName(KekTable())), 1, types,
               values);
}

void StoreReencryption(const Reencryption& job) {
  const char* table =
      quote_qualified_identifier(get_namespace_name(KnownTables().schema), "tp_reencrypt_job");
  Oid types[] = {INT4OID, OIDOID, NAMEOID, OIDOID, TEXTOID, INT8OID, INT8OID, INT8OID, TIMESTAMPTZOID};
  NameData attribute;
  namestrcpy(&attribute, job.attribute);
  if (job.rows_done == 0) {  // those of backends that are gone
    Oid key_types[] = {OIDOID, NAMEOID};
    Datum key[] = {ObjectIdGetDatum(job.relation), NameGetDatum(&attribute)};
    Execute(psprintf("DELETE FROM %s j WHERE relation = $1 AND attribute = $2"
                     " AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = j.pid)",
                     table),
            2, key_types, key);
  }
  Datum values[] = {
      Int32GetDatum(MyProcPid),      ObjectIdGetDatum(job.relation),  NameGetDatum(&attribute),
      ObjectIdGetDatum(GetUserId()), CStringGetTextDatum(job.phase),  Int64GetDatum(job.rows_done),
      Int64GetDatum(job.rows_left),  Int64GetDatum(job.rows_refused), TimestampTzGetDatum(job.started)};
  Execute(
      psprintf(
          "INSERT INTO %s AS j (pid, relation, attribute, role, phase, rows_done, rows_left, rows_refused,"
          " started_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp())"
          " ON CONFLICT (pid, relation, attribute) DO UPDATE SET role = $4, phase = $5, rows_done = $6,"
          " rows_left = $7, rows_refused = $8, started_at = $9, updated_at = clock_timestamp()",
          table),
      9, types, values);
}

}  // namespace trustpoint::pg
