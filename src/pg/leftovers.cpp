#include "pg/leftovers.hpp"

#include <algorithm>

#include "hsm/change_key.hpp"
#include "pg/journal.hpp"
#include "pg/text.hpp"
#include "pg/token.hpp"
#include "pg/token_catalog.hpp"
#include "pg/token_store.hpp"
#include "pg/token_transaction.hpp"

extern "C" {
#include "access/transam.h"
#include "commands/dbcommands.h"
#include "storage/lmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/xid8.h"
}

namespace trustpoint::pg {
namespace {

using pkcs11::Connection;
using pkcs11::Level;
using pkcs11::Session;

// Also a prepared one. After a crash PostgreSQL may have given the number to another transaction, so that no
// more can be asked of it than this: then the entry waits for that one's end.
bool IsInProgress(std::uint64_t xid) {
  const FullTransactionId id = FullTransactionIdFromU64(xid);
  // A number of the future is of a transaction that the crash has cut off altogether.
  if (!FullTransactionIdPrecedes(id, ReadNextFullTransactionId())) return false;
  LOCAL_FCINFO(call, 1);
  InitFunctionCallInfoData(*call, nullptr, 1, InvalidOid, nullptr, nullptr);
  call->args[0] = {FullTransactionIdGetDatum(id), false};
  const Datum status = pg_xact_status(call);
  if (call->isnull) return false;
  const bool in_progress = strcmp(text_to_cstring(DatumGetTextPP(status)), "in progress") == 0;
  // Its end may still be at work on the token: the lock on its number goes last.
  const TransactionId number = XidFromFullTransactionId(id);
#if PG_VERSION_NUM >= 180000
  return in_progress || !ConditionalXactLockTableWait(number, false);
#else
  return in_progress || !ConditionalXactLockTableWait(number);
#endif
}

// Whether it concerns the token that the settings name, and no other database would settle it.
bool IsOurs(const JournalEntry& entry) {
  return ThisBackend().connection.token().serial == entry.token_serial &&
         (entry.database == MyDatabaseId || get_database_name(entry.database) == nullptr);
}

// True when it is done. One key that the token will not let go of must not bar all others.
template <class Step>
bool Try(const char* what, Step step) {
  CHECK_FOR_INTERRUPTS();
  Backend& backend = ThisBackend();
  base::Failure failure;
  const bool done = TryWithKeys(&failure, [&](Connection& connection) {
    backend.token_keys.Forget();
    connection.Run(Level::kLogin, [&](Session& session) { step(session); });
  });
  if (done || failure.code == base::ErrorCode::kNotFound) return true;
  if (failure.code == base::ErrorCode::kTokenUnreachable || failure.code == base::ErrorCode::kNotConfigured)
    Raise(failure);
  ereport(LOG, (errmsg("trustpoint: could not %s", what),
                errdetail_internal("%s", ShownFromUtf8(failure.message))));
  return false;
}

bool Destroy(const KeyId& id) {
  return Try("destroy a key that is no longer wanted in the token",
             [&](Session& session) { (void)hsm::DestroyKey(session, id.view()); });
}

// True when nothing is left to do for the entry.
bool Settle(const JournalEntry& entry) {
  // First whether it has ended, then its row: in the other order a commit between the two would be missed.
  // What a savepoint renamed has the label of the row only when the whole transaction has.
  const bool waits = !entry.aborted || entry.kind == JournalEntry::Kind::kRenamed;
  if (waits && IsInProgress(entry.xid)) return false;
  if (entry.database != MyDatabaseId || entry.table != KnownTokenTables().key) {
    JournalReport(entry.id);  // the extension or the database was dropped since, and the rows with it
    return true;
  }
  TokenKeyRow row;
  const bool has_row = ReadTokenKey(entry.id, &row);
  switch (entry.kind) {
    case JournalEntry::Kind::kRenamed:
      return !has_row || Try("give a key in the token its label back", [&](Session& session) {
        hsm::RestoreLabels(session, hsm::FindKey(session, {row.label, entry.id.view()}),
                           {row.label, row.label});
      });
    case JournalEntry::Kind::kDoomed:
      return !IsTrash(entry.id) || Destroy(entry.id);
    case JournalEntry::Kind::kMade:
      if (has_row) return true;
      if (!Destroy(entry.id)) return false;
      ereport(LOG, (errmsg("trustpoint: destroyed a key in the token whose transaction did not commit")));
      return true;
  }
  return true;
}

// A standby that takes over and a restored backup have the row without the journal's entry, and the key may
// be there still. The row says that its destruction was committed. True when it is gone.
bool DestroyAsTheRowSays(const KeyId& id) {
  const char* label = DestroyedLabel(id);
  return Try("destroy a key that is in tp_token_trash", [&](Session& session) {
    const hsm::TokenKey key = hsm::FindKey(session, {label, {}});
    if (std::ranges::equal(key.id, id.view())) (void)hsm::DestroyKey(session, id.view());
  });
}

// Rows of keys that are gone: nothing in the journal speaks of them any more. A key that other tools have
// given the same id since is not touched.
void EmptyTrash(const KeyId* trash, int trashed, const JournalEntry* entries, const bool* settled,
                int count) {
  for (int i = 0; i < trashed; ++i) {
    bool gone = !IsDoomedHere(trash[i]);
    for (int j = 0; j < count; ++j)
      if (!settled[j] && entries[j].kind == JournalEntry::Kind::kDoomed && entries[j].id == trash[i])
        gone = false;
    if (gone && DestroyAsTheRowSays(trash[i])) DeleteTrash(trash[i]);
  }
}

}  // namespace

void SettleLeftovers() {
  // The trash first: a row that is seen had its entry before.
  int trashed, count;
  int* slots;
  const KeyId* trash = ReadTrash(&trashed);
  const JournalEntry* entries = JournalRead(&count, &slots);
  auto* settled = static_cast<bool*>(palloc0(static_cast<size_t>(count + 1) * sizeof(bool)));
  for (int i = 0; i < count; ++i) {
    if (!IsOurs(entries[i])) continue;
    settled[i] = Settle(entries[i]);
    if (settled[i]) (void)JournalRemove(slots[i], entries[i].id);
  }
  EmptyTrash(trash, trashed, entries, settled, count);
}

}  // namespace trustpoint::pg
