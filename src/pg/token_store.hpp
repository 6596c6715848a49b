// Writing the tables of the token's keys.
#pragma once

#include <string_view>

#include "pg/known_keys.hpp"
#include "pg/postgres.hpp"

namespace trustpoint::pg {

// What a function that changes keys of the token begins with: refuses a standby and a read-only transaction,
// takes in what others changed, finishes what was left over. function is named in the refusals.
void BeginTokenChange(FunctionCallInfo fcinfo, const char* function);

// What the token said of a key, as plain data for its row.
struct NewRow {
  KeyId id;
  const char* label;        // UTF-8, as all
  const char* bound_label;  // the first that it had; "": it had none
  const char* type;
  unsigned bits;
  const char* curve;  // nullptr: none
  const char* usage;
  const char* mode;  // nullptr: none
};
void InsertTokenKey(const NewRow& row);
void RenameTokenKey(const KeyId& id, std::string_view label);
// Its grants go with it; the trash has it until it is gone from the token.
void MoveToTrash(const KeyId& id, std::string_view label, bool has_row);
void DeleteTrash(const KeyId& id);
// The label that a destroyed key has in the token, as long as it is there; palloc'ed.
const char* DestroyedLabel(const KeyId& id);
// All operations on it, for the role that made it.
void GrantAllOperations(const KeyId& id, Oid role);

}  // namespace trustpoint::pg
