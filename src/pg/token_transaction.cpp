#include "pg/token_transaction.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "pg/backend.hpp"
#include "pg/boundary.hpp"
#include "pg/journal.hpp"
#include "pg/text.hpp"
#include "pg/token.hpp"

extern "C" {
#include "common/hashfn.h"
#include "storage/ipc.h"
#include "storage/lock.h"
}

namespace trustpoint::pg {
namespace {

using pkcs11::Level;
using pkcs11::Session;

struct Change {
  enum class Kind : std::uint8_t { kMade, kRenamed, kDated, kDoomed };
  Kind kind;
  SubTransactionId subtransaction;
  KeyId id;
  std::string token_serial;
  int slot;                           // in the journal; -1: a date has none
  const char* attribute;              // kDated
  std::string before;                 // what the date was
  std::optional<hsm::Labels> labels;  // kRenamed: what they were; none: it has not come to that
};

// In the order in which they were made. Built on first use, and never destroyed.
std::vector<Change>* changes = nullptr;
bool may_start = true;  // the token anew, until that fails: once for each end

void Remember(Change::Kind kind, const KeyId& id, const char* attribute, std::string_view before) {
  const SubTransactionId subtransaction = GetCurrentSubTransactionId();
  Run([&] {
    if (changes == nullptr) changes = new std::vector<Change>;
    const std::string& serial = ThisBackend().connection.token().serial;
    changes->push_back({kind, subtransaction, id, serial, -1, attribute, std::string(before), {}});
  });
}

// Writes it down first and remembers it then: an error between the two leaves an entry that the next sweep
// finds to be about nothing.
void Journal(JournalEntry::Kind journal_kind, Change::Kind kind, const KeyId& id) {
  ForceSyncCommit();  // the token keeps what is done at the commit, so a crash must not take the rows back
  JournalEntry entry = {journal_kind,
                        false,
                        id,
                        MyDatabaseId,
                        KnownTokenTables().key,
                        U64FromFullTransactionId(GetTopFullTransactionId()),
                        {}};
  const std::string& serial = ThisBackend().connection.token().serial;
  strlcpy(entry.token_serial, serial.c_str(), sizeof entry.token_serial);
  const int slot = JournalAdd(entry);
  Remember(kind, id, nullptr, {});
  changes->back().slot = slot;
}

// One step on the change's token, in the session that this backend has. SoftHSM may lose sight of its token
// when others log in just then, and see it again when it is started anew.
template <class Step>
bool Try(base::Failure* failure, const Change& change, Step step) {
  auto run = [&](pkcs11::Connection& connection) {
    ExistingBackend()->token_keys.Forget();
    if (connection.token().serial != change.token_serial)
      throw base::Error(base::ErrorCode::kNotFound, "The settings name another token by now.");
    connection.Run(Level::kLogin, [&](Session& session) { step(session); });
  };
  pkcs11::Connection& connection = ExistingBackend()->connection;
  connection.BeginOperation();
  if (base::Contain(failure, [&] { run(connection); })) return true;
  const bool lost =
      failure->code == base::ErrorCode::kNeedStart || failure->code == base::ErrorCode::kTokenUnreachable;
  if (!lost || !may_start || proc_exit_inprogress) return false;
  may_start = StartAtEnd(failure, run);
  return may_start;
}

void UndoInToken(Session& session, const Change& change) {
  switch (change.kind) {
    case Change::Kind::kMade:
      (void)hsm::DestroyKey(session, change.id.view());
      break;
    case Change::Kind::kRenamed:
      if (change.labels)
        hsm::RestoreLabels(session, hsm::FindKey(session, {"", change.id.view()}), *change.labels);
      break;
    case Change::Kind::kDated:
      hsm::SetKeyAttribute(session, hsm::FindKey(session, {"", change.id.view()}), change.attribute,
                           change.before);
      break;
    case Change::Kind::kDoomed:
      break;
  }
}

// Why, in words for the log: a session that must be opened first is not an error of its own. A label in them
// is cleaned in place, as there is no catalog here to convert it by.
const char* Reason(base::Failure* failure) {
  if (failure->code == base::ErrorCode::kNeedStart) return "This backend has no session on the token.";
  MakePrintable(failure->message);
  return failure->message;
}

void Undo(const Change& change) {
  base::Failure failure;
  const bool done = change.kind == Change::Kind::kDoomed ||
                    Try(&failure, change, [&](Session& session) { UndoInToken(session, change); });
  if (!done)
    ereport(
        LOG,
        (errmsg("trustpoint: what an aborted transaction did to a key in the token is not undone yet"),
         errdetail_internal("%s", Reason(&failure)),
         change.slot >= 0
             ? errhint("The next function that makes, renames or destroys a key in this database does it.")
             : errhint("Set its dates again: nothing else does.")));
  if (change.slot >= 0)
    (void)(done ? JournalRemove(change.slot, change.id) : JournalMarkAborted(change.slot, change.id));
}

void Commit(const Change& change) {
  base::Failure failure;
  const bool done = change.kind != Change::Kind::kDoomed || Try(&failure, change, [&](Session& session) {
                      (void)hsm::DestroyKey(session, change.id.view());
                    });
  if (!done)
    ereport(LOG,
            (errmsg("trustpoint: a destroyed key is still in the token"),
             errdetail_internal("%s", Reason(&failure)),
             errhint("It is of no use to anybody; the next function that makes, renames or destroys a key in "
                     "this database destroys it.")));
  if (done && change.slot >= 0) (void)JournalRemove(change.slot, change.id);
}

// The session that keys were used in is given back, and one whose operation was cancelled, unless
// tp_hsm_login() asked to keep it.
void EndSession() {
  Backend* backend = ExistingBackend();
  if (backend == nullptr) return;
  backend->hold_session = false;
  if (backend->connection.has_session() && !backend->keep_session && !proc_exit_inprogress)
    backend->connection.Release();
}

}  // namespace

void LockLabel(std::string_view label) {
  // A class of its own beside those of pg_advisory_lock. Database 0: the token is everybody's.
  const auto hash = hash_bytes_extended(reinterpret_cast<const unsigned char*>(label.data()),
                                        static_cast<int>(label.size()), 0);
  LOCKTAG tag;
  SET_LOCKTAG_ADVISORY(tag, InvalidOid, static_cast<uint32>(hash >> 32), static_cast<uint32>(hash), 7);
  (void)LockAcquire(&tag, ExclusiveLock, false, false);
}

void WillMakeKey(const KeyId& id) { Journal(JournalEntry::Kind::kMade, Change::Kind::kMade, id); }

void WillRenameKey(const KeyId& id) { Journal(JournalEntry::Kind::kRenamed, Change::Kind::kRenamed, id); }

void NoteLabels(const hsm::Labels& labels) {
  if (!changes->back().labels) changes->back().labels = labels;
}

void WillSetDate(const KeyId& id, const char* attribute, std::string_view value) {
  Remember(Change::Kind::kDated, id, attribute, value);
}

void WillDestroyKey(const KeyId& id) { Journal(JournalEntry::Kind::kDoomed, Change::Kind::kDoomed, id); }

bool IsDoomedHere(const KeyId& id) {
  return changes != nullptr && std::any_of(changes->begin(), changes->end(), [&](const Change& change) {
           return change.kind == Change::Kind::kDoomed && change.id == id;
         });
}

bool HasChangedKeys() { return changes != nullptr && !changes->empty(); }

void EndTokenTransaction(XactEvent event) {
  const bool any = HasChangedKeys();
  may_start = true;
  switch (event) {
    case XACT_EVENT_PRE_PREPARE:
      if (any)
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("cannot PREPARE a transaction that has made, changed or destroyed keys of the token"),
                 errhint("Use COMMIT.")));
      return;
    case XACT_EVENT_COMMIT:
      if (any)
        for (const Change& change : *changes) Commit(change);
      break;
    case XACT_EVENT_ABORT:
      if (any) std::for_each(changes->rbegin(), changes->rend(), Undo);
      break;
    case XACT_EVENT_PREPARE:
      break;
    default:
      return;
  }
  if (any) changes->clear();
  EndSession();
}

void EndTokenSubtransaction(SubXactEvent event, SubTransactionId subtransaction, SubTransactionId parent) {
  if (changes == nullptr) return;
  if (event == SUBXACT_EVENT_COMMIT_SUB)
    for (Change& change : *changes)
      if (change.subtransaction == subtransaction) change.subtransaction = parent;
  if (event != SUBXACT_EVENT_ABORT_SUB) return;
  may_start = true;
  // Those of a subtransaction and of its children stand together at the end.
  while (!changes->empty() && changes->back().subtransaction == subtransaction) {
    Undo(changes->back());
    changes->pop_back();
  }
}

}  // namespace trustpoint::pg
