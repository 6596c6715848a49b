// The DEKs that one backend unwrapped, for all others: with shared_preload_libraries = 'trustpoint' a new
// backend needs no login to the token for them.
//
// They lie in a mapping of their own that the postmaster makes: locked, left out of core images, zeroed when
// the server restarts after a crash. An entry is found by the database and the whole row that vouches for
// it, so a stale or a foreign one cannot be met; the state always comes from the row in the table.
#pragma once

#include <cstdint>

#include "keyring/cache.hpp"

namespace trustpoint::pg {

// From _PG_init, after the settings: hooks, where the library is preloaded.
void PrepareSharedCache();
// Whether this server has a shared cache and the setting lets it be used.
bool SharedCacheIsOn();

// Opens the DEK of the entry from the cache. False: it is not there. May ereport, as everything here.
bool TakeSharedDek(keyring::CachedDek* entry);
// Offers an opened DEK to others; left out where keys have changed since TakeSharedDek looked for it.
void OfferSharedDek(const keyring::CachedDek& entry);

// Takes back what nothing vouches for any more.
void ForgetSharedDek(const keyring::DekRow& row);
// All of this database.
void ForgetSharedDeks();

// This transaction changes keys: it offers none, and all are forgotten when it ends. Neither can fail.
void MarkSharedDeksOutdated();
void SettleSharedDeks();

struct SharedCacheStatus {
  bool on;
  bool locked;
  int deks;  // of all databases
  std::uint64_t hits, misses;
};
SharedCacheStatus SharedCache();

}  // namespace trustpoint::pg
