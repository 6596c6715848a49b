// Results of functions that return bytea.
#pragma once

#include "base/bytes.hpp"
#include "pg/postgres.hpp"

namespace trustpoint::pg {

// Room for so many bytes, to be cut to what was written.
inline bytea* AllocateBytes(size_t size) {
  auto* result = static_cast<bytea*>(palloc(size + VARHDRSZ));
  SET_VARSIZE(result, size + VARHDRSZ);
  return result;
}
inline base::MutableBytes Content(bytea* value) {
  return {reinterpret_cast<std::uint8_t*>(VARDATA(value)), VARSIZE(value) - VARHDRSZ};
}
inline Datum Cut(bytea* value, size_t size) {
  SET_VARSIZE(value, size + VARHDRSZ);
  return PointerGetDatum(value);
}
inline Datum CopyBytes(base::Bytes bytes) {
  bytea* result = AllocateBytes(bytes.size());
  base::Copy(Content(result), bytes);
  return PointerGetDatum(result);
}

}  // namespace trustpoint::pg
