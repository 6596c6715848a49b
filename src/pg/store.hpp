// Writing the extension's tables: by SPI, so that triggers and constraints hold, as the owner of the tables.
#pragma once

#include "keyring/rows.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "datatype/timestamp.h"
}

namespace trustpoint::pg {

// What a function that changes keys begins with: refuses a standby and a read-only transaction, then keeps
// other changes of keys in this database away until the transaction ends. function is named in the refusals.
void BeginKeyChange(FunctionCallInfo fcinfo, const char* function);
// The same for what takes a DEK out of service: waits until no other transaction may still write values under
// it, and refuses a transaction that has encrypted itself. Readers go on.
void BeginKeyRemoval(FunctionCallInfo fcinfo, const char* function);
// Whether nobody could see all of the DEK's values before: this transaction had to wait so, here or in an
// earlier removal, and the DEK was not disabled by then.
bool MayHaveUnseenValues(std::uint32_t id);
// The same for what no rollback brings back: what it relies on is committed and on the disk, and nobody else
// is writing tp_dek.
void BeginIrrevocableChange(FunctionCallInfo fcinfo, const char* function);

// The row is newer than every other, so that this KEK wraps new DEKs.
void InsertKek(const keyring::KekRow& row);
// The row is active, and newer than every other of its purpose and name.
void InsertDek(const keyring::DekRow& row);
// All active DEKs of the purpose and name become retired.
void RetireDeks(envelope::Purpose purpose, std::string_view name);
void UpdateDekState(std::uint32_t id, keyring::DekState state);
// Destroyed: the wrapped bytes go, the row stays.
void DestroyDek(std::uint32_t id);
// The same DEK wrapped anew: KEK, wrapped bytes and check value. before: the row as it was read.
void UpdateDekKey(const keyring::DekRow& before, const keyring::DekRow& row);
void DeleteKek(const keyring::KekId& id);

// A row of tp_reencrypt_job: what tp_reencrypt_column of this backend is about.
struct Reencryption {
  Oid relation;
  const char* attribute;
  const char* phase;
  int64 rows_done, rows_left, rows_refused;
  TimestampTz started;
};
void StoreReencryption(const Reencryption& job);

}  // namespace trustpoint::pg
