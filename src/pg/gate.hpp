// The start gate: one process of the cluster at a time starts the token's module or changes what all share in
// it.
//
// A flock of one file in the data directory, so that it works with and without preloading, holds between
// parallel workers of one query, and is freed by the kernel however its holder dies. The wait obeys cancel
// and time-outs.
#pragma once

#include "keyring/cache.hpp"

namespace trustpoint::pg {

// Waits for the gate. May ereport; nothing is held then.
void TakeGate();
// The same where nothing may be interrupted, at the end of a transaction that has had it before. False: not
// within two seconds.
bool TakeGateAtEnd() noexcept;
void DropGate();

// The turn to unwrap a DEK: one backend at a time where the others then find it in the shared cache. Unlike
// the gate it is kept over whatever may ereport, so the end of a transaction drops it too. Who has it waits
// for no lock of PostgreSQL, whose search for deadlocks knows nothing of it.
//
// False: another's turn has opened the DEK meanwhile, and it comes from the cache.
bool TakeTurn(keyring::CachedDek* entry);
void DropTurn();

// Waits, for the token or the gate, as the latch allows: cancel, time-outs and shutdown end it by ereport.
void Pause(long milliseconds);

}  // namespace trustpoint::pg
