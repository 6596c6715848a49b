// All DEKs that are not destroyed, each with the row of its KEK: what a new KEK has to take over.
#pragma once

#include "keyring/rows.hpp"
#include "pg/postgres.hpp"

namespace trustpoint::pg {

struct WrappedDeks {
  int count;
  keyring::DekRow* rows;  // as they are in the table
  keyring::KekRow* keks;
  keyring::DekRow* changed;  // copies, to be wrapped anew
};

// palloc'ed. May ereport, as everything here: a DEK whose KEK is not in tp_kek cannot be taken over.
WrappedDeks ReadWrappedDeks();
// Writes what differs; returns how many that were.
int StoreWrappedDeks(const WrappedDeks& deks);

}  // namespace trustpoint::pg
