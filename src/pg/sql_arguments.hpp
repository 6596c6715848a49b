// The arguments of SQL functions: NULL where it may not be, text as UTF-8, bytes as a view.
#pragma once

#include "base/bytes.hpp"
#include "pg/text.hpp"

namespace trustpoint::pg {

// Raises 22004 for NULL. STRICT would return NULL instead and silently lose a secret.
inline void RequireArgument(FunctionCallInfo fcinfo, int number, const char* name) {
  if (PG_ARGISNULL(number))
    ereport(ERROR,
            (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("argument \"%s\" must not be NULL", name)));
}

// The bytes of a bytea, detoasted.
inline base::Bytes BytesArgument(FunctionCallInfo fcinfo, int number) {
  const bytea* value = PG_GETARG_BYTEA_PP(number);
  return {reinterpret_cast<const std::uint8_t*>(VARDATA_ANY(value)), VARSIZE_ANY_EXHDR(value)};
}

inline Utf8 TextArgument(FunctionCallInfo fcinfo, int number, const char* name) {
  RequireArgument(fcinfo, number, name);
  const text* value = PG_GETARG_TEXT_PP(number);
  return ToUtf8({VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)});
}

}  // namespace trustpoint::pg
