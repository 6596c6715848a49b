#include "pg/shared_cache.hpp"

#include <sys/mman.h>

#include "pg/backend.hpp"
#include "pg/boundary.hpp"
#include "pg/keys.hpp"
#include "pg/settings.hpp"

extern "C" {
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
}

namespace trustpoint::pg {
namespace {

constexpr char kName[] = "trustpoint";
constexpr int kMaxSharedDeks = 128;

struct Entry {
  bool used;
  std::uint8_t size;
  Oid database;
  std::int64_t opened_at;   // seconds of the monotonic clock, which all processes share
  std::int64_t checked_at;  // when somebody last looked for its row in the table
  std::uint64_t last_used;  // by Control::clock
  keyring::DekRow row;      // whoever has the same may take the keys; its state is not looked at
  base::Block<keyring::Dek::kMaxKeysSize> keys;
};

// In PostgreSQL's shared memory: nothing secret. All but turn_ends under the lock.
struct Control {
  LWLock* lock;
  ConditionVariable turn_ends;
  bool locked;  // the mapping is
  int end;      // no entry from this one on has ever been used
  std::uint64_t clock, hits, misses;
  std::uint64_t changes;  // grows whenever keys of any database have changed
};

Control* control = nullptr;
Entry* entries = nullptr;   // the mapping, inherited by every backend
Oid outdated = InvalidOid;  // the database whose keys this transaction changes
std::uint64_t seen_changes = 0;

shmem_startup_hook_type next_startup_hook = nullptr;
#if PG_VERSION_NUM >= 150000
shmem_request_hook_type next_request_hook = nullptr;
#endif

void RequestMemory() {
  RequestAddinShmemSpace(MAXALIGN(sizeof(Control)));
  RequestNamedLWLockTranche(kName, 1);
}

extern "C" void TrustpointRequestsSharedMemory() {
#if PG_VERSION_NUM >= 150000
  if (next_request_hook != nullptr) next_request_hook();
#endif
  RequestMemory();
}

// In the postmaster, also when it starts anew after a crash: the mapping is then used again, emptied.
extern "C" void TrustpointStartsSharedMemory() {
  if (next_startup_hook != nullptr) next_startup_hook();
  static bool locked = false;
  // 37 kB: below the limit of locked memory that old container engines set.
  constexpr std::size_t kSize = kMaxSharedDeks * sizeof(Entry);
  if (entries == nullptr) {
    void* memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      ereport(LOG, (errmsg("could not map memory for shared DEKs: %m"),
                    errdetail("trustpoint goes on without a shared cache.")));
      return;
    }
    (void)madvise(memory, kSize, MADV_DONTDUMP);
    locked = mlock(memory, kSize) == 0;  // pins the pages for all processes
    if (!locked)
      ereport(LOG, (errmsg("memory for shared DEKs could not be locked and may reach swap"),
                    errhint("Raise the limit of locked memory for the server (RLIMIT_MEMLOCK).")));
    entries = static_cast<Entry*>(memory);
  }
  explicit_bzero(static_cast<void*>(entries), kSize);

  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  bool found;
  control = static_cast<Control*>(ShmemInitStruct(kName, sizeof(Control), &found));
  if (!found) {
    *control = {};
    ConditionVariableInit(&control->turn_ends);
    control->lock = &GetNamedLWLockTranche(kName)->lock;
    control->locked = locked;
  }
  LWLockRelease(AddinShmemInitLock);
}

bool IsOfThisDatabase(const Entry& entry) { return entry.used && entry.database == MyDatabaseId; }

Entry* Find(std::uint32_t id) {
  for (int i = 0; i < control->end; ++i)
    if (entries[i].row.id == id && IsOfThisDatabase(entries[i])) return &entries[i];
  return nullptr;
}

// A free one, or that which was not used for the longest time.
Entry* Room() {
  Entry* oldest = &entries[0];
  for (int i = 0; i < control->end; ++i) {
    if (!entries[i].used) return &entries[i];
    if (entries[i].last_used < oldest->last_used) oldest = &entries[i];
  }
  return control->end < kMaxSharedDeks ? &entries[control->end++] : oldest;
}

void Wipe(Entry* entry) { explicit_bzero(static_cast<void*>(entry), sizeof *entry); }

bool IsTooOld(const Entry& entry) {
  return DekCacheTtl() > 0 && entry.opened_at < MonotonicSeconds() - DekCacheTtl();
}

}  // namespace

void PrepareSharedCache() {
  if (!process_shared_preload_libraries_in_progress) return;
#if PG_VERSION_NUM >= 150000
  next_request_hook = shmem_request_hook;
  shmem_request_hook = TrustpointRequestsSharedMemory;
#else
  TrustpointRequestsSharedMemory();
#endif
  next_startup_hook = shmem_startup_hook;
  shmem_startup_hook = TrustpointStartsSharedMemory;
}

bool SharedCacheIsOn() { return control != nullptr && SharedDekCache(); }

bool TakeSharedDek(keyring::CachedDek* entry) {
  if (!SharedCacheIsOn()) return false;
  Backend& backend = ThisBackend();
  Run([&] { backend.shared_keys = base::Secret(keyring::Dek::kMaxKeysSize); });
  std::size_t size = 0;
  std::int64_t opened_at = 0;
  LWLockAcquire(control->lock, LW_EXCLUSIVE);
  seen_changes = control->changes;
  Entry* found = Find(entry->row.id);
  if (found != nullptr && keyring::HaveSameDek(found->row, entry->row) && !IsTooOld(*found)) {
    size = found->size;
    opened_at = found->opened_at;
    found->last_used = ++control->clock;
    base::Copy(backend.shared_keys.bytes(), base::Bytes(found->keys).first(size));
  }
  ++(size > 0 ? control->hits : control->misses);
  LWLockRelease(control->lock);
  if (size > 0) {
    Run([&] { entry->dek.emplace(keyring::Dek::FromKeys(backend.shared_keys.view().first(size))); });
    entry->opened_at = opened_at;
  }
  backend.shared_keys.Reset();
  return size > 0;
}

void OfferSharedDek(const keyring::CachedDek& entry) {
  if (!SharedCacheIsOn() || OidIsValid(outdated)) return;
  const base::Bytes keys = entry.dek->keys();
  LWLockAcquire(control->lock, LW_EXCLUSIVE);
  if (control->changes == seen_changes) {
    Entry* room = Find(entry.row.id);
    if (room == nullptr) room = Room();
    Wipe(room);
    room->used = true;
    room->size = static_cast<std::uint8_t>(keys.size());
    room->database = MyDatabaseId;
    room->opened_at = entry.opened_at;
    room->checked_at = MonotonicSeconds();
    room->last_used = ++control->clock;
    room->row = entry.row;
    base::Copy(room->keys, keys);
  }
  LWLockRelease(control->lock);
}

ConditionVariable* TurnEnds() { return &control->turn_ends; }

keyring::DekRow* SharedDekRows(bool all, int* count) {
  *count = 0;
  // Whoever comes in meanwhile has just been looked at.
  const int end = control != nullptr ? control->end : 0;
  if (end == 0) return nullptr;
  auto* rows = static_cast<keyring::DekRow*>(palloc(end * sizeof(keyring::DekRow)));
  const std::int64_t now = MonotonicSeconds();
  LWLockAcquire(control->lock, LW_EXCLUSIVE);
  for (int i = 0; i < end; ++i) {
    if (!IsOfThisDatabase(entries[i]) || (!all && entries[i].checked_at >= now)) continue;
    entries[i].checked_at = now;
    rows[(*count)++] = entries[i].row;
  }
  LWLockRelease(control->lock);
  return rows;
}

void ForgetSharedDek(std::uint32_t id) {
  if (control == nullptr) return;
  LWLockAcquire(control->lock, LW_EXCLUSIVE);
  if (Entry* entry = Find(id)) Wipe(entry);
  LWLockRelease(control->lock);
}

void ForgetSharedDeks(Oid database) {
  if (control == nullptr) return;
  LWLockAcquire(control->lock, LW_EXCLUSIVE);
  for (int i = 0; i < control->end; ++i)
    if (entries[i].used && entries[i].database == database) Wipe(&entries[i]);
  ++control->changes;
  LWLockRelease(control->lock);
}

void MarkSharedDeksOutdated(Oid database) { outdated = database; }

void SettleSharedDeks() {
  if (OidIsValid(outdated)) ForgetSharedDeks(outdated);
  outdated = InvalidOid;
}

SharedCacheStatus SharedCache() {
  SharedCacheStatus status = {};
  if (!SharedCacheIsOn()) return status;
  LWLockAcquire(control->lock, LW_SHARED);
  status = {true, control->locked, 0, control->hits, control->misses};
  for (int i = 0; i < control->end; ++i) status.deks += entries[i].used ? 1 : 0;
  LWLockRelease(control->lock);
  return status;
}

}  // namespace trustpoint::pg
