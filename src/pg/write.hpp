// Writing to the tables of trustpoint: by SPI, so that triggers and constraints hold, as their owner.
#pragma once

#include <string_view>

#include "base/bytes.hpp"
#include "pg/postgres.hpp"

namespace trustpoint::pg {

// A table of ours, named in full and quoted.
const char* QualifiedName(Oid table);

// One statement on tables of ours, named in full, as their owner and with a search_path that nobody else can
// write to. An error restores user and settings with the (sub)transaction.
// Returns how many rows it touched.
uint64 Execute(const char* statement, int count, Oid* types, Datum* values);
// The same on one row that was read before. Rows are read as they are now, and written as the transaction's
// snapshot sees them: 40001 when that is older and shows none. what: "DEK 5".
void ExecuteOnRow(const char* what, const char* statement, int count, Oid* types, Datum* values);
[[noreturn]] void RaiseChanged(const char* what);

Datum TextValue(std::string_view utf8);
Datum BytesValue(base::Bytes bytes);

}  // namespace trustpoint::pg
