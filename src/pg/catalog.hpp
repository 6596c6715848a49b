// Reading the extension's tables from C: by the table scan API, without SELECT privilege, as they are
// committed now.
//
// A scan with a NULL snapshot reads with a fresh catalog snapshot: it sees another's rotation inside an open
// transaction and under REPEATABLE READ, sees this transaction's own rows, and works on a standby and in a
// worker.
#pragma once

#include <string_view>

#include "keyring/rows.hpp"
#include "pg/postgres.hpp"

namespace trustpoint::pg {

// The tables beside the function that was called. Set by FindTables.
struct Tables {
  Oid schema, dek;
};

namespace internal {
extern Tables tables;
extern bool moved;  // the tables themselves may have: the extension may have been dropped and made anew
extern std::uint64_t changes;
void LookUpTables(FunctionCallInfo fcinfo);
}  // namespace internal

// Those that were found before.
inline const Tables& KnownTables() { return internal::tables; }
// Finds them on first use, and again after a change. May ereport, as everything here.
inline const Tables& FindTables(FunctionCallInfo fcinfo) {
  if (!OidIsValid(internal::tables.dek) || internal::moved) [[unlikely]]
    internal::LookUpTables(fcinfo);
  return internal::tables;
}
Oid KekTable();
Oid GrantTable();

// Another number whenever any of the tables, or the roles, may have changed.
inline std::uint64_t TableChanges() { return internal::changes; }
// Registers the callbacks that count; from _PG_init.
void WatchTables();

bool ReadDek(std::uint32_t id, keyring::DekRow* row);
// Those of many ids, in their order; where there is none, the row's id is 0.
void ReadDeks(const std::uint32_t* ids, int count, keyring::DekRow* rows);
// Whether a usable row still has the bytes that a DEK was opened by. Unlike the others it raises for no
// malformed row, as whoever asks may not be about to use it.
bool IsVouchedFor(const keyring::DekRow& opened);
// The same for many at once: leaves those for which there is none, and returns how many.
int KeepUnvouched(keyring::DekRow* opened, int count);
// The newest active DEK of the name. *exists: whether there is any DEK of this name and purpose.
bool ReadActiveDek(envelope::Purpose purpose, std::string_view name, keyring::DekRow* row, bool* exists);
// The usable rows of the name, or of all names when it is empty, newest first, palloc'ed. *exists: whether
// there is any row of this name and purpose.
keyring::DekRow* ReadUsableDeks(envelope::Purpose purpose, std::string_view name, int* count, bool* exists);
// All rows, in no order, palloc'ed.
keyring::DekRow* ReadAllDeks(int* count);
bool ReadKek(const keyring::KekId& id, keyring::KekRow* row);
// Whether a KEK of ours, also one that wraps no new DEKs any more, has this label.
bool IsKekLabel(std::string_view label);
// The KEK that wraps new DEKs.
bool ReadNewestKek(keyring::KekRow* row);

const char* StateName(keyring::DekState state);

}  // namespace trustpoint::pg
