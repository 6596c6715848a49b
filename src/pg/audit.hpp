// The audit trail: one structured line in the server log for each use of a key, with no data in it.
#pragma once

#include <cstdint>
#include <string_view>

namespace trustpoint::pg {

// A change or opening of a key, at trustpoint.audit = keys and all. id 0: none. name: UTF-8, may be nullptr.
void AuditKey(const char* event, const char* name, std::uint32_t id);
// A use of a DEK on a value, at trustpoint.audit = all.
void AuditValue(const char* function, const char* name, std::uint32_t id);

// A use of a private or secret key of the token, at trustpoint.audit = keys and all; see AuditedUse.
struct KeyUse {
  const char* function;
  const char* label;      // as the caller gave it, as long as a label can be
  bool is_key;            // it is one, as FindTokenKey tells: else it is data perhaps, and not written
  const char* algorithm;  // nullptr: none chosen yet, and none was named that there is
  // Looked up at the start, as nothing may be looked up after an error.
  const char* role;
  const char* database;
};
// palloc'ed, so that what is learnt of it after a PG_TRY is there in the PG_CATCH.
KeyUse* BeginUse(const char* function, std::string_view label, const char* algorithm);
void EndUse(const KeyUse& use, const char* outcome);  // "ok" or the SQLSTATE

}  // namespace trustpoint::pg
