// The second half of keys.hpp: the caller's right to a DEK, and the way from its row to the key itself.
#include <ctime>

#include "keyring/dek.hpp"
#include "pg/audit.hpp"
#include "pg/catalog.hpp"
#include "pg/gate.hpp"
#include "pg/keys.hpp"
#include "pg/rights.hpp"
#include "pg/shared_cache.hpp"
#include "pg/statistics.hpp"
#include "pg/text.hpp"
#include "pg/token.hpp"
#include "pg/transaction_lock.hpp"

extern "C" {
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
}

namespace trustpoint::pg {

Oid internal::locked_for_encryption = InvalidOid;

namespace {

using internal::locked_for_encryption;
using keyring::CachedDek;
using keyring::DekRow;

constexpr LOCKMODE kEncryptionLock = RowShareLock;

constexpr const char* kCapabilityNames[] = {"encrypt", "decrypt", "rewrap", "search"};

// Whether the row, read again, is under another KEK; then the entry is of that one.
bool HasAnotherKek(CachedDek* entry) {
  DekRow row;
  if (!ReadDek(entry->row.id, &row) || !keyring::IsUsable(row.state) || row.kek_id == entry->row.kek_id)
    return false;
  Run([&] { ThisBackend().deks.Update(row); });
  return true;
}

[[noreturn]] void RaiseNoKek(const DekRow& row) {
  ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the KEK of DEK %u is not in tp_kek", row.id),
                  errhint("Restore tp_kek together with tp_dek.")));
  pg_unreachable();
}

// False: the way to the KEK, or to the DEK, failed.
bool TryToUnwrap(CachedDek* entry, const keyring::KekRow& kek_row, base::Failure* failure) {
  const DekRow& row = entry->row;
  return TryOnToken(failure, [&](pkcs11::Connection& connection) {
    connection.Run(pkcs11::Level::kLogin, [&](pkcs11::Session& session) {
      keyring::Kek kek(session, kek_row);
      entry->dek.emplace(keyring::OpenDek(kek, row));
      ThisBackend().unknown_kek_attributes = kek.unknown_attributes();
      entry->opened_at = MonotonicSeconds();
    });
  });
}

// Whether nobody has taken the DEK out of service, or is about to. Whoever does it from here on has it
// forgotten, and offered no more, when that transaction ends; but one that is prepared has done so already.
bool MayBeShared(const DekRow& row) {
  const Oid table = KnownTables().dek;
  LOCKTAG tag;
  SET_LOCKTAG_RELATION(tag, MyDatabaseId, table);
  int count;
  // Not by trying to lock it: that would look to tp_destroy_dek as if somebody encrypts.
  pfree(GetLockConflicts(&tag, kEncryptionLock, &count));
  // Without waiting, as this one has the turn: also for the index, by which a large table is read.
  const Oid index = get_relname_relid("tp_dek_pkey", KnownTables().schema);
  if (count > 0 || !ConditionalLockRelationOid(table, AccessShareLock)) return false;
  bool vouched = false;
  if (ConditionalLockRelationOid(index, AccessShareLock)) {
    vouched = IsVouchedFor(row);
    UnlockRelationOid(index, AccessShareLock);
  }
  UnlockRelationOid(table, AccessShareLock);
  return vouched;
}

// One try, by the KEK's row as it was read: while a backend has the turn, it waits for no lock of PostgreSQL.
// Another that has that lock may wait for the turn, and nobody would see the deadlock.
bool TryToOpen(CachedDek* entry, const keyring::KekRow& kek, Found* found, base::Failure* failure) {
  *found = Found::kOnToken;
  if (!SharedCacheIsOn()) return TryToUnwrap(entry, kek, failure);
  // Many that start at once make one login between them.
  bool opened = !TakeTurn(entry) || TakeSharedDek(entry);
  if (opened) {
    *found = Found::kShared;
  } else {
    const bool may_be_shared = MayBeShared(entry->row);
    opened = TryToUnwrap(entry, kek, failure);
    if (opened && may_be_shared) OfferSharedDek(*entry);
  }
  DropTurn();
  return opened;
}

}  // namespace

std::int64_t MonotonicSeconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec;
}

bool MayUse(CachedDek* entry, Capability capability) {
  if (capability == Capability::kLoad) return true;
  const auto index = static_cast<std::size_t>(capability);
  const Oid role = GetUserId();
  if (entry->allowed_role[index] == role) return true;
  if (entry->refused_role[index] == role) return false;
  const bool allowed = RoleMayUse(role, kCapabilityNames[index], entry->row.name_view());
  (allowed ? entry->allowed_role : entry->refused_role)[index] = role;
  return allowed;
}

void RequireCapability(CachedDek* entry, Capability capability) {
  if (MayUse(entry, capability)) return;
  const char* name = kCapabilityNames[static_cast<std::size_t>(capability)];
  const char* role = GetUserNameFromId(GetUserId(), false);
  const char* dek = ShownFromUtf8(entry->row.name_view());
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                  errmsg("role \"%s\" may not %s with DEK \"%s\"", role, name, dek),
                  errhint("Ask for: SELECT tp_grant(%s, '%s', %s);", RoleLiteral(role), name,
                          quote_literal_cstr(dek))));
}

void OpenDek(CachedDek* entry) {
  if (entry->dek) {
    CountFound(Found::kInBackend);
    return;
  }
  if (TakeSharedDek(entry)) {
    CountFound(Found::kShared);
    return;
  }
  // While this one waits for its turn, or for the token, another may put all DEKs under a new KEK and destroy
  // the old one: in tp_kek, in the token, or in both.
  Found found;
  base::Failure failure;
  keyring::KekRow kek;
  for (;;) {
    CHECK_FOR_INTERRUPTS();
    if (ReadKek(entry->row.kek_id, &kek)) {
      if (TryToOpen(entry, kek, &found, &failure)) break;
      if (!HasAnotherKek(entry)) Raise(failure);
    } else if (!HasAnotherKek(entry)) {
      RaiseNoKek(entry->row);
    }
  }
  CountFound(found);
  if (found == Found::kOnToken) AuditKey("open_dek", entry->row.name, entry->row.id);
}

void internal::LockForEncryption(const char* function) {
  PreventCommandDuringRecovery(function);
  const Oid table = KnownTables().dek;
  // A savepoint that is rolled back takes no value out of a variable, or from the client.
  LockForTransaction(table, kEncryptionLock);
  locked_for_encryption = table;
}

void ForgetEncryptionLock() { locked_for_encryption = InvalidOid; }

keyring::KekRow KekOf(const DekRow& row) {
  keyring::KekRow kek;
  if (!ReadKek(row.kek_id, &kek)) RaiseNoKek(row);
  return kek;
}

DekRow ExistingDek(int32 id) {
  DekRow row;
  if (id <= 0 || !ReadDek(static_cast<std::uint32_t>(id), &row))
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no DEK with id %d in this database", id),
             errhint("The view tp_keyring lists them.")));
  return row;
}

keyring::KekRow NewestKek() {
  keyring::KekRow kek;
  if (!ReadNewestKek(&kek))
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("trustpoint is not set up"),
                    errhint("Call tp_setup() first.")));
  return kek;
}

void VerifyDek(const DekRow& row) {
  const keyring::KekRow kek_row = KekOf(row);
  RunOnToken(pkcs11::Level::kLogin, Gate::kForStart, [&](pkcs11::Connection& connection) {
    connection.Run(pkcs11::Level::kLogin, [&](pkcs11::Session& session) {
      keyring::Kek kek(session, kek_row);
      (void)keyring::OpenDek(kek, row);
    });
  });
}

}  // namespace trustpoint::pg
