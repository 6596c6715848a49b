#include "pg/statistics.hpp"

#include <cstring>

extern "C" {
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/elog.h"
}

namespace trustpoint::pg {

Counters internal::counters;

namespace {

using internal::counters;

static_assert(sizeof(Counters) == kCounters * sizeof(std::uint64_t));

constexpr int kDatabases = 64;  // the last stands for all that found no room, and for dropped ones
constexpr char kName[] = "trustpoint statistics";

struct Slot {
  pg_atomic_uint32 database;  // InvalidOid: free
  pg_atomic_uint64 counters[kCounters];
};

struct Shared {
  pg_atomic_uint64 since;
  Slot slots[kDatabases];
};

Shared* shared = nullptr;
Slot* own_slot = nullptr;
TimestampTz session_since = 0;  // 0: as long as the session lives

shmem_startup_hook_type next_startup_hook = nullptr;
#if PG_VERSION_NUM >= 150000
shmem_request_hook_type next_request_hook = nullptr;
#endif

extern "C" void TrustpointRequestsStatistics() {
#if PG_VERSION_NUM >= 150000
  if (next_request_hook != nullptr) next_request_hook();
#endif
  RequestAddinShmemSpace(MAXALIGN(sizeof(Shared)));
}

// Also when the server starts anew after a crash; the numbers then start anew too.
extern "C" void TrustpointStartsStatistics() {
  if (next_startup_hook != nullptr) next_startup_hook();
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  bool found;
  shared = static_cast<Shared*>(ShmemInitStruct(kName, sizeof(Shared), &found));
  if (!found) {
    pg_atomic_init_u64(&shared->since, static_cast<std::uint64_t>(GetCurrentTimestamp()));
    for (Slot& slot : shared->slots) {
      pg_atomic_init_u32(&slot.database, InvalidOid);
      for (pg_atomic_uint64& counter : slot.counters) pg_atomic_init_u64(&counter, 0);
    }
  }
  LWLockRelease(AddinShmemInitLock);
}

Slot* FindSlot() {
  Slot* const last = &shared->slots[kDatabases - 1];
  for (Slot* slot = shared->slots; slot < last; ++slot)
    if (pg_atomic_read_u32(&slot->database) == MyDatabaseId) return slot;
  for (Slot* slot = shared->slots; slot < last; ++slot) {
    uint32 database = InvalidOid;
    if (pg_atomic_compare_exchange_u32(&slot->database, &database, MyDatabaseId) || database == MyDatabaseId)
      return slot;
  }
  return last;
}

std::uint64_t* Numbers(Counters* all) { return reinterpret_cast<std::uint64_t*>(all); }

}  // namespace

void PrepareStatistics() {
  if (!process_shared_preload_libraries_in_progress) return;
#if PG_VERSION_NUM >= 150000
  next_request_hook = shmem_request_hook;
  shmem_request_hook = TrustpointRequestsStatistics;
#else
  TrustpointRequestsStatistics();
#endif
  next_startup_hook = shmem_startup_hook;
  shmem_startup_hook = TrustpointStartsStatistics;
}

void CountFailure(int sqlstate) noexcept {
  char name[6];
  for (int i = 0; i < 5; ++i, sqlstate >>= 6) name[i] = static_cast<char>(PGUNSIXBIT(sqlstate));
  name[5] = '\0';
  std::size_t index = 0;
  while (index < std::size(kFailureNames) - 1 && std::strcmp(name, kFailureNames[index]) != 0) ++index;
  ++counters.failures[index];
}

void AddStatistics() {
  // Every transaction of the server comes by here, and nearly all without a call of the token, which most of
  // the numbers are of.
  const bool token = pkcs11::TakeCallCounts(&counters.token);
  if (shared == nullptr || !OidIsValid(MyDatabaseId)) return;
  const std::size_t end = token ? kCounters : offsetof(Counters, token) / sizeof(std::uint64_t);
  std::uint64_t* numbers = Numbers(&counters);
  for (std::size_t i = 0; i < end; ++i) {
    if (numbers[i] == 0) continue;
    if (own_slot == nullptr) own_slot = FindSlot();
    pg_atomic_fetch_add_u64(&own_slot->counters[i], static_cast<int64>(numbers[i]));
    numbers[i] = 0;
  }
}

void GiveStatisticsUp(Oid database) {
  if (shared == nullptr) return;
  Slot* const last = &shared->slots[kDatabases - 1];
  for (Slot* slot = shared->slots; slot < last; ++slot) {
    if (pg_atomic_read_u32(&slot->database) != database) continue;
    for (std::size_t i = 0; i < kCounters; ++i)
      pg_atomic_fetch_add_u64(&last->counters[i],
                              static_cast<int64>(pg_atomic_exchange_u64(&slot->counters[i], 0)));
    pg_atomic_write_u32(&slot->database, InvalidOid);
  }
}

bool StatisticsAreShared() { return shared != nullptr; }

TimestampTz StatisticsSince() {
  if (shared != nullptr) return static_cast<TimestampTz>(pg_atomic_read_u64(&shared->since));
  return session_since != 0 ? session_since : MyStartTimestamp;
}

void ResetStatistics() {
  AddStatistics();
  counters = {};
  if (shared == nullptr) {
    session_since = GetCurrentTimestamp();
    return;
  }
  pg_atomic_write_u64(&shared->since, static_cast<std::uint64_t>(GetCurrentTimestamp()));
  for (Slot& slot : shared->slots)
    for (pg_atomic_uint64& counter : slot.counters) pg_atomic_write_u64(&counter, 0);
}

bool NextStatistics(int* position, Oid* database, Counters* result) {
  if (*position == 0) AddStatistics();
  if (shared == nullptr) {
    *database = MyDatabaseId;
    *result = counters;
    return (*position)++ == 0;
  }
  for (; *position < kDatabases; ++*position) {
    Slot* slot = &shared->slots[*position];
    *database = pg_atomic_read_u32(&slot->database);
    const bool last = *position == kDatabases - 1;
    if (!OidIsValid(*database) && !last) continue;
    for (std::size_t i = 0; i < kCounters; ++i) Numbers(result)[i] = pg_atomic_read_u64(&slot->counters[i]);
    ++*position;
    return true;
  }
  return false;
}

}  // namespace trustpoint::pg
