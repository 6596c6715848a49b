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

// What PG_DETOAST_DATUM_PACKED gives, without a call for what is in the row as it is.
inline const struct varlena* Detoasted(FunctionCallInfo fcinfo, int number) {
  auto* value = reinterpret_cast<struct varlena*>(PG_GETARG_POINTER(number));
  return VARATT_IS_COMPRESSED(value) || VARATT_IS_EXTERNAL(value) ? pg_detoast_datum_packed(value) : value;
}

// The bytes of a bytea, detoasted.
inline base::Bytes BytesArgument(FunctionCallInfo fcinfo, int number) {
  const struct varlena* value = Detoasted(fcinfo, number);
  return {reinterpret_cast<const std::uint8_t*>(VARDATA_ANY(value)), VARSIZE_ANY_EXHDR(value)};
}

inline Utf8 TextArgument(FunctionCallInfo fcinfo, int number, const char* name) {
  RequireArgument(fcinfo, number, name);
  const struct varlena* value = Detoasted(fcinfo, number);
  return ToUtf8({VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)});
}

}  // namespace trustpoint::pg
