// tp_context, tp_inspect, tp_is_encrypted: what needs no key.
#include <optional>

#include "envelope/value.hpp"
#include "pg/postgres.hpp"
#include "pg/result_row.hpp"
#include "pg/sql_arguments.hpp"

extern "C" {
#include "access/detoast.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
}

namespace trustpoint::pg {

// tp_context(VARIADIC parts text[]) RETURNS text: "<bytes of UTF-8>:<part>" for each, so that no two lists
// are alike.
TP_SQL_FUNCTION(tp_context) {
  RequireArgument(fcinfo, 0, "parts");
  ArrayType* parts = PG_GETARG_ARRAYTYPE_P(0);
  Datum* values;
  bool* nulls;
  int count;
  deconstruct_array(parts, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
  StringInfoData context;
  initStringInfo(&context);
  for (int i = 0; i < count; ++i) {
    if (nulls[i])
      ereport(ERROR,
              (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("part %d of the context is NULL", i + 1),
               errhint("A context of NULL would bind nothing. Use coalesce where a part may be missing.")));
    const text* part = DatumGetTextPP(values[i]);
    const int size = static_cast<int>(VARSIZE_ANY_EXHDR(part));
    appendStringInfo(&context, "%zu:", ToUtf8({VARDATA_ANY(part), static_cast<size_t>(size)}).size);
    appendBinaryStringInfo(&context, VARDATA_ANY(part), size);
  }
  PG_RETURN_TEXT_P(cstring_to_text_with_len(context.data, context.len));
}

// tp_inspect(value bytea, OUT suite text, OUT key_id int, OUT plaintext_length int)
TP_SQL_FUNCTION(tp_inspect) {
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  const std::optional<envelope::Value> value = envelope::Parse(BytesArgument(fcinfo, 0));
  if (!value)
    ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION), errmsg("not a trustpoint value"),
                    errhint("tp_is_encrypted tells such values apart without an error.")));
  ResultRow row;
  row.Text(envelope::SuiteName(value->suite));
  row.Int(static_cast<int>(value->key_id));
  row.Int(static_cast<int>(value->ciphertext.size()));
  return row.Composite(fcinfo);
}

// tp_is_encrypted(value bytea) RETURNS boolean
//
// Reads the head alone: a CHECK on a large value need not fetch the rest.
TP_SQL_FUNCTION(tp_is_encrypted) {
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  const size_t size = toast_raw_datum_size(PG_GETARG_DATUM(0)) - VARHDRSZ;
  const bytea* head = PG_GETARG_BYTEA_P_SLICE(0, 0, static_cast<int32>(envelope::kHeaderSize));
  PG_RETURN_BOOL(envelope::IsWellFormed(
      {reinterpret_cast<const std::uint8_t*>(VARDATA_ANY(head)), VARSIZE_ANY_EXHDR(head)}, size));
}

}  // namespace trustpoint::pg
