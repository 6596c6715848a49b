// Writing tp_kek and tp_dek: by SPI, so that triggers and constraints hold, as the owner of the tables.
#pragma once

#include "keyring/rows.hpp"
#include "pg/postgres.hpp"

namespace trustpoint::pg {

// What a function that changes keys begins with: refuses a standby and a read-only transaction, then keeps
// other changes of keys in this database away until the transaction ends. function is named in the refusals.
void BeginKeyChange(FunctionCallInfo fcinfo, const char* function);

void InsertKek(const keyring::KekRow& row);
// The row is active, and newer than every other of its purpose and name.
void InsertDek(const keyring::DekRow& row);
// All active DEKs of the purpose and name become retired.
void RetireDeks(envelope::Purpose purpose, std::string_view name);

}  // namespace trustpoint::pg
