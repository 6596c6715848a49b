#include "pg/leftovers.hpp"

#include "hsm/change_key.hpp"
#include "pg/journal.hpp"
#include "pg/token.hpp"
#include "pg/token_catalog.hpp"
#include "pg/token_store.hpp"
#include "pg/token_transaction.hpp"

extern "C" {
#include "access/transam.h"
#include "utils/fmgrprotos.h"
#include "utils/xid8.h"
}

namespace trustpoint::pg {
namespace {

using pkcs11::Connection;
using pkcs11::Level;
using pkcs11::Session;

enum class Outcome : std::uint8_t { kInProgress, kCommitted, kAborted, kUnknown };

Outcome OutcomeOf(std::uint64_t xid) {
  const FullTransactionId id = FullTransactionIdFromU64(xid);
  // Not of this history: the journal is older than the recovery that led here.
  if (!FullTransactionIdPrecedes(id, ReadNextFullTransactionId())) return Outcome::kInProgress;
  LOCAL_FCINFO(call, 1);
  InitFunctionCallInfoData(*call, nullptr, 1, InvalidOid, nullptr, nullptr);
  call->args[0] = {FullTransactionIdGetDatum(id), false};
  const Datum status = pg_xact_status(call);
  if (call->isnull) return Outcome::kUnknown;  // so old that nobody knows
  const char* name = text_to_cstring(DatumGetTextPP(status));
  return strcmp(name, "in progress") == 0 ? Outcome::kInProgress
         : strcmp(name, "committed") == 0 ? Outcome::kCommitted
                                          : Outcome::kAborted;
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
  if (done) return true;
  if (failure.code == base::ErrorCode::kTokenUnreachable || failure.code == base::ErrorCode::kNotConfigured)
    Raise(failure);
  ereport(LOG, (errmsg("trustpoint: could not %s", what), errdetail_internal("%s", failure.message)));
  return false;
}

bool Destroy(const KeyId& id) {
  return Try("destroy a key that is no longer wanted in the token",
             [&](Session& session) { (void)hsm::DestroyKey(session, id.view()); });
}

// True when nothing is left to do for the entry.
bool Settle(const JournalEntry& entry) {
  // First whether it has ended, then its row: in the other order a commit between the two would be missed.
  const Outcome outcome = OutcomeOf(entry.xid);
  if (outcome == Outcome::kInProgress) return false;
  TokenKeyRow row;
  const bool has_row = ReadTokenKey(entry.id, &row);
  if (entry.kind == JournalEntry::Kind::kRenamed) {
    return !has_row || Try("give a key in the token its label back", [&](Session& session) {
      hsm::RenameKey(session, hsm::FindKey(session, {row.label, entry.id.view()}), row.label);
    });
  }
  if (has_row || (outcome == Outcome::kCommitted && !entry.aborted)) return true;
  if (!Destroy(entry.id)) return false;
  ereport(LOG, (errmsg("trustpoint: destroyed a key in the token whose transaction did not commit")));
  return true;
}

}  // namespace

void SettleLeftovers() {
  int count;
  int* slots;
  const JournalEntry* entries = JournalRead(&count, &slots);
  for (int i = 0; i < count; ++i)
    if (entries[i].database == MyDatabaseId && Settle(entries[i]))
      (void)JournalRemove(slots[i], entries[i].id);

  const KeyId* trash = ReadTrash(&count);
  for (int i = 0; i < count; ++i)
    if (!IsDoomedHere(trash[i]) && Destroy(trash[i])) DeleteTrash(trash[i]);
}

}  // namespace trustpoint::pg
