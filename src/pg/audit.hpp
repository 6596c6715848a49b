// The audit trail: one structured line in the server log for each use of a key, with no data in it.
#pragma once

#include <cstdint>

namespace trustpoint::pg {

// A change or opening of a key, at trustpoint.audit = keys and all. id 0: none. name may be nullptr. UTF-8.
void AuditKey(const char* event, const char* name, std::uint32_t id);
// A use of a DEK on a value, at trustpoint.audit = all.
void AuditValue(const char* function, const char* name, std::uint32_t id);

}  // namespace trustpoint::pg
