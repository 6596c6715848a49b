// The DEKs that one backend unwrapped, for all others: with shared_preload_libraries = 'trustpoint' a new
// backend needs no login to the token for them.
//
// They lie in a mapping of their own that the postmaster makes: locked, left out of core images, zeroed when
// the server restarts after a crash. An entry serves the database and the whole row that vouches for it, so a
// stale or a foreign one cannot be met; the state always comes from the row in the table.
//
// What nothing vouches for any more goes at the end of the transaction that took it away. Where that runs
// nothing of ours, on a standby and in COMMIT PREPARED, it goes by the next call of whoever sees the change.
#pragma once

#include <cstdint>

#include "keyring/cache.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "storage/condition_variable.h"
}

namespace trustpoint::pg {

// From _PG_init, after the settings: hooks, where the library is preloaded.
void PrepareSharedCache();
// Whether this server has a shared cache and the setting lets it be used.
bool SharedCacheIsOn();

// Opens the DEK of the entry from the cache. False: it is not there. May ereport, as everything here.
bool TakeSharedDek(keyring::CachedDek* entry);
// Offers an opened DEK to others; left out where keys have changed since TakeSharedDek looked for it. To be
// called only for what nobody else is taking away: see open_dek.cpp.
void OfferSharedDek(const keyring::CachedDek& entry);

// Where backends wait for the one that is about to offer a DEK: see gate.hpp.
ConditionVariable* TurnEnds();

// The rows by which those of this database were opened, palloc'ed, for the caller to look whether the table
// still has them. all: also where somebody has looked within this second.
keyring::DekRow* SharedDekRows(bool all, int* count);
// Takes back what nothing vouches for any more.
void ForgetSharedDek(std::uint32_t id);
// All of a database.
void ForgetSharedDeks(Oid database);

// This transaction changes the keys of a database, the one and only that it does: it offers none, and all are
// forgotten when it ends. Neither can fail.
void MarkSharedDeksOutdated(Oid database);
void SettleSharedDeks();

struct SharedCacheStatus {
  bool on;
  bool locked;
  int deks;  // of all databases
  std::uint64_t hits, misses;
};
SharedCacheStatus SharedCache();

}  // namespace trustpoint::pg
