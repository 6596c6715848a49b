#include "pg/keys.hpp"

#include "pg/boundary.hpp"
#include "pg/shared_cache.hpp"
#include "pg/text.hpp"

namespace trustpoint::pg {

std::uint64_t internal::seen_changes = kNoneSeen;

namespace {

using keyring::CachedDek;
using keyring::DekRow;
using keyring::DekState;

// Reads the rows of all opened DEKs again and lets go of those that nothing vouches for any more.
void RereadRows(Backend& backend) {
  Run([&] { backend.stale_deks = backend.deks.Stale(); });
  const auto& ids = backend.stale_deks;
  const int count = static_cast<int>(ids.size());
  auto* rows = static_cast<DekRow*>(palloc((ids.size() + 1) * sizeof(DekRow)));
  ReadDeks(ids.data(), count, rows);
  Run([&] {
    for (int i = 0; i < count; ++i) {
      if (rows[i].id == ids[i])
        backend.deks.Update(rows[i]);
      else
        backend.deks.Remove(ids[i]);
    }
  });
  pfree(rows);
}

// The same for those in shared memory, whoever opened them.
void RereadSharedRows(bool all) {
  int count;
  DekRow* rows = SharedDekRows(all, &count);
  const int gone = KeepUnvouched(rows, count);
  for (int i = 0; i < gone; ++i) ForgetSharedDek(rows[i].id);
  if (rows != nullptr) pfree(rows);
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

// Where the first DEK of a purpose and name comes from.
const char* OriginOf(envelope::Purpose purpose) {
  switch (purpose) {
    case envelope::Purpose::kData:
      return "The first one is made by tp_setup(), others by tp_create_dek.";
    case envelope::Purpose::kIndex:
      return "The first one of a name is made by tp_create_dek(name, 'index').";
    case envelope::Purpose::kTpsec:
      return "Trustpoint's own DEK is brought in by tp_import_dek.";
  }
  return "";
}

[[noreturn]] void RaiseNoDek(envelope::Purpose purpose, std::string_view name) {
  ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                  errmsg("there is no DEK named \"%s\" for purpose \"%s\"", ShownFromUtf8(name),
                         envelope::PurposeName(purpose)),
                  errhint("%s", OriginOf(purpose))));
  pg_unreachable();
}

// All usable versions, newest first. The empty name, which no DEK has, stands for all. nullptr: there is
// none, usable or not.
const std::vector<CachedDek*>* FindVersions(envelope::Purpose purpose, std::string_view name) {
  keyring::DekCache& cache = ThisBackend().deks;
  if (const auto* known = cache.Versions(purpose, name)) return known;
  int count;
  bool exists;
  DekRow* rows = ReadUsableDeks(purpose, name, &count, &exists);
  if (!exists) return nullptr;
  auto** deks = static_cast<CachedDek**>(palloc((count + 1) * sizeof(CachedDek*)));
  for (int i = 0; i < count; ++i) deks[i] = Remember(rows[i]);
  Run([&] { cache.SetVersions(purpose, name, {deks, deks + count}); });
  pfree(deks);
  pfree(rows);
  return cache.Versions(purpose, name);
}

DekVersions FirstAllowed(const std::vector<CachedDek*>& versions, envelope::Purpose purpose,
                         Capability capability) {
  if (versions.empty())
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("every DEK that could serve for purpose \"%s\" is disabled or destroyed",
                           envelope::PurposeName(purpose)),
                    errhint("A disabled one can be enabled again with tp_enable_dek.")));
  DekVersions first{};
  for (CachedDek* entry : versions) {
    if (first.count == kMaxVersions) break;
    if (MayUse(entry, capability)) first.deks[first.count++] = entry;
  }
  if (first.count == 0) RequireCapability(versions.front(), capability);
  return first;
}

[[noreturn]] void RaiseUnusable(const DekRow& row) {
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("DEK %u (%s) is %s", row.id, ShownFromUtf8(row.name), StateName(row.state)),
                  row.state == DekState::kDisabled
                      ? errhint("Whoever disabled it can enable it again with tp_enable_dek(%u).", row.id)
                      : errhint("Its values are lost by intent: the key is gone from this database.")));
  pg_unreachable();
}

}  // namespace

void internal::RereadKeys(FunctionCallInfo fcinfo) {
  Backend& backend = ThisBackend();
  // Reading may bring further news. Not without end: what comes after the last pass is for the next call.
  for (int pass = 0; pass < 3 && seen_changes != TableChanges(); ++pass) {
    const std::uint64_t current = TableChanges();
    CHECK_FOR_INTERRUPTS();
    FindTables(fcinfo);
    RereadRows(backend);
    // A new backend was told of no change, but need not look at what others have just looked at.
    RereadSharedRows(seen_changes != kNoneSeen);
    seen_changes = current;  // not when an error cuts it off: the next call begins again
  }
}

void internal::ExpireKeys() { ThisBackend().deks.Expire(MonotonicSeconds() - DekCacheTtl()); }

const CachedDek* internal::DekForName(envelope::Purpose purpose, std::string_view name,
                                      Capability capability) {
  bool exists;
  CachedDek* entry = ActiveEntry(purpose, name, &exists);
  if (entry == nullptr) {
    if (exists)
      ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                      errmsg("no DEK named \"%s\" is active", ShownFromUtf8(name)),
                      purpose == envelope::Purpose::kTpsec
                          ? errhint("Enable it with tp_enable_dek, or bring it in anew by tp_import_dek.")
                          : errhint("Make a new version with tp_rotate_dek.")));
    RaiseNoDek(purpose, name);
  }
  RequireCapability(entry, capability);
  OpenDek(entry);
  return entry;
}

const CachedDek* internal::DekForId(envelope::Purpose purpose, std::uint32_t id, Capability capability) {
  CachedDek* entry = EntryForId(id);
  if (entry == nullptr || !keyring::IsUsable(entry->row.state)) ForgetSharedDek(id);
  if (entry == nullptr)
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no DEK with id %u in this database", id),
             errhint("The value comes from another database, or tp_dek was not restored with it.")));
  if (entry->row.purpose != purpose)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("DEK %u is not for values of this kind", id),
                    errdetail("Its purpose is \"%s\".", envelope::PurposeName(entry->row.purpose))));
  RequireCapability(entry, capability);
  if (!keyring::IsUsable(entry->row.state)) RaiseUnusable(entry->row);
  OpenDek(entry);
  return entry;
}

DekVersions VersionsOfName(envelope::Purpose purpose, std::string_view name, Capability capability) {
  const auto* versions = name.empty() ? nullptr : FindVersions(purpose, name);
  if (versions == nullptr) RaiseNoDek(purpose, name);
  return FirstAllowed(*versions, purpose, capability);
}

DekVersions VersionsOfPurpose(envelope::Purpose purpose, Capability capability) {
  const auto* versions = FindVersions(purpose, {});
  if (versions == nullptr)
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
                    errmsg("there is no DEK for purpose \"%s\"", envelope::PurposeName(purpose)),
                    errhint("%s", OriginOf(purpose))));
  return FirstAllowed(*versions, purpose, capability);
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

}  // namespace trustpoint::pg
