// A function that uses a private key writes one audit line, however it ends.
#pragma once

#include "pg/audit.hpp"
#include "pg/postgres.hpp"
#include "pg/text.hpp"

namespace trustpoint::pg {

// Returns body(use), which may ereport. PG_TRY is for PostgreSQL's layer alone, as here: no frame
// of its body owns anything that a longjmp would skip. What PG_CATCH reads are constants of this frame: a
// variable that changes after PG_TRY is lost by the longjmp, unless it is volatile.
template <class Body>
Datum AuditedUse(const char* function, const Utf8& label, const char* algorithm, Body body) {
  static_assert(std::is_trivially_destructible_v<Body>, "capture by reference");
  KeyUse* const use = BeginUse(function, FromUtf8(label.view()), algorithm);
  const MemoryContext context = CurrentMemoryContext;
  Datum result = Datum{0};
  PG_TRY();
  { result = body(use); }
  PG_CATCH();
  {
    MemoryContextSwitchTo(context);
    EndUse(*use, unpack_sql_state(geterrcode()));
    PG_RE_THROW();
  }
  PG_END_TRY();
  EndUse(*use, "ok");
  return result;
}

}  // namespace trustpoint::pg
