#include "pg/keys.hpp"

#include <ctime>

#include "keyring/dek.hpp"
#include "pg/audit.hpp"
#include "pg/catalog.hpp"
#include "pg/gate.hpp"
#include "pg/settings.hpp"
#include "pg/shared_cache.hpp"
#include "pg/token.hpp"

extern "C" {
#include "storage/lmgr.h"
#include "utils/inval.h"
}

namespace trustpoint::pg {
namespace {

using keyring::CachedDek;
using keyring::DekRow;
using keyring::DekState;

bool encryption_locked = false;

constexpr const char* kCapabilityNames[] = {"encrypt", "decrypt", "rewrap", "search"};

std::int64_t Now() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec;
}

// Reads the rows of all opened DEKs again and lets go of those that nothing vouches for any more.
void RereadRows(Backend& backend) {
  Run([&] { backend.stale_deks = backend.deks.Stale(); });
  for (std::size_t i = 0; i < backend.stale_deks.size(); ++i) {
    const std::uint32_t id = backend.stale_deks[i];
    DekRow row;
    const bool found = ReadDek(id, &row);
    // On a standby nobody else tells the shared cache that a key is gone.
    if (!found || !keyring::IsUsable(row.state)) ForgetSharedDek(backend.deks.RowOf(id));
    Run([&] {
      if (found)
        backend.deks.Update(row);
      else
        backend.deks.Remove(id);
    });
  }
}

CachedDek* Remember(const DekRow& row) {
  CachedDek* entry = nullptr;
  Run([&] { entry = ThisBackend().deks.Update(row); });
  return entry;
}

// nullptr: there is no such row.
CachedDek* EntryForId(std::uint32_t id) {
  if (CachedDek* entry = ThisBackend().deks.ById(id)) return entry;
  DekRow row;
  return ReadDek(id, &row) ? Remember(row) : nullptr;
}

// nullptr: none is active; *exists tells whether there is any.
CachedDek* ActiveEntry(envelope::Purpose purpose, std::string_view name, bool* exists) {
  *exists = true;
  if (CachedDek* entry = ThisBackend().deks.Active(purpose, name)) return entry;
  DekRow row;
  if (!ReadActiveDek(purpose, name, &row, exists)) return nullptr;
  CachedDek* entry = Remember(row);
  Run([&] { ThisBackend().deks.SetActive(entry); });
  return entry;
}

void CheckCapability(CachedDek* entry, Capability capability) {
  if (capability == Capability::kLoad) return;
  const auto index = static_cast<std::size_t>(capability);
  const Oid role = GetUserId();
  if (entry->allowed_role[index] == role) return;
  if (!RoleMayUse(role, kCapabilityNames[index], entry->row.name_view()))
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("role \"%s\" may not %s with DEK \"%s\"", GetUserNameFromId(role, false),
                           kCapabilityNames[index], entry->row.name),
                    errhint("Ask for: SELECT tp_grant('%s', '%s', '%s');", GetUserNameFromId(role, false),
                            kCapabilityNames[index], entry->row.name)));
  entry->allowed_role[index] = role;
}

void UnwrapOnToken(CachedDek* entry) {
  const DekRow& row = entry->row;
  const keyring::KekRow kek_row = KekOf(row);
  RunOnToken(pkcs11::Level::kLogin, Gate::kForStart, [&](pkcs11::Connection& connection) {
    connection.Run(pkcs11::Level::kLogin, [&](pkcs11::Session& session) {
      keyring::Kek kek(session, kek_row);
      entry->dek.emplace(keyring::OpenDek(kek, row));
      ThisBackend().unknown_kek_attributes = kek.unknown_attributes();
    });
  });
  entry->opened_at = Now();
  AuditKey("open_dek", row.name, row.id);
}

void Open(CachedDek* entry) {
  if (entry->dek || TakeSharedDek(entry)) return;
  if (!SharedCacheIsOn()) {
    UnwrapOnToken(entry);
    return;
  }
  // Many that start at once make one login between them.
  TakeTurn();
  if (!TakeSharedDek(entry)) {
    UnwrapOnToken(entry);
    OfferSharedDek(*entry);
  }
  DropTurn();
}

[[noreturn]] void RaiseUnusable(const DekRow& row) {
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("DEK %u (%s) is %s", row.id, row.name, StateName(row.state)),
                  row.state == DekState::kDisabled
                      ? errhint("Whoever disabled it can enable it again with tp_enable_dek(%u).", row.id)
                      : errhint("Its values are lost by intent: the key is gone from this database.")));
  pg_unreachable();
}

}  // namespace

void RefreshKeys(FunctionCallInfo fcinfo) {
  AcceptInvalidationMessages();
  FindTables(fcinfo);
  Backend& backend = ThisBackend();
  while (TakeStaleMark()) {  // reading may bring further news
    CHECK_FOR_INTERRUPTS();
    FindTables(fcinfo);
    RereadRows(backend);
  }
  if (DekCacheTtl() > 0) backend.deks.Expire(Now() - DekCacheTtl());
}

const CachedDek* DekForName(envelope::Purpose purpose, std::string_view name, Capability capability) {
  bool exists;
  CachedDek* entry = ActiveEntry(purpose, name, &exists);
  if (entry == nullptr) {
    const int size = static_cast<int>(name.size());
    if (exists)
      ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                      errmsg("no DEK named \"%.*s\" is active", size, name.data()),
                      errhint("Make a new version with tp_rotate_dek.")));
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                    errmsg("there is no DEK named \"%.*s\" for purpose \"%s\"", size, name.data(),
                           envelope::PurposeName(purpose)),
                    errhint("The first one is made by tp_setup(), others by tp_create_dek.")));
  }
  CheckCapability(entry, capability);
  Open(entry);
  return entry;
}

const CachedDek* DekForId(envelope::Purpose purpose, std::uint32_t id, Capability capability) {
  CachedDek* entry = EntryForId(id);
  if (entry == nullptr)
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no DEK with id %u in this database", id),
             errhint("The value comes from another database, or tp_dek was not restored with it.")));
  if (entry->row.purpose != purpose)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("DEK %u is not for values of this kind", id),
                    errdetail("Its purpose is \"%s\".", envelope::PurposeName(entry->row.purpose))));
  CheckCapability(entry, capability);
  if (!keyring::IsUsable(entry->row.state)) RaiseUnusable(entry->row);
  Open(entry);
  return entry;
}

const DekRow* RowForId(std::uint32_t id) {
  const CachedDek* entry = EntryForId(id);
  return entry != nullptr ? &entry->row : nullptr;
}

const DekRow* ActiveRow(envelope::Purpose purpose, std::string_view name) {
  bool exists;
  const CachedDek* entry = ActiveEntry(purpose, name, &exists);
  return entry != nullptr ? &entry->row : nullptr;
}

void LockForEncryption() {
  if (encryption_locked) return;
  LockRelationOid(KnownTables().dek, RowShareLock);
  encryption_locked = true;
}

void ForgetEncryptionLock() { encryption_locked = false; }

keyring::KekRow KekOf(const DekRow& row) {
  keyring::KekRow kek;
  if (!ReadKek(row.kek_id, &kek))
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("the KEK of DEK %u is not in tp_kek", row.id),
                    errhint("Restore tp_kek together with tp_dek.")));
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
