// A row of a set-returning or composite function, column by column.
#pragma once

#include <string_view>

#include "pg/postgres.hpp"
#include "pg/text.hpp"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
}

namespace trustpoint::pg {

// Plain data on the PostgreSQL side of the boundary: every method may ereport.
class ResultRow {
 public:
  void Text(const char* text) { Add(CStringGetTextDatum(Printable(text))); }
  void Utf8Text(const char* utf8) {
    const std::string_view text = FromUtf8(utf8);
    Add(PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size()))));
  }
  // NULL for an empty text.
  void TextOrNull(const char* text) {
    if (text[0] == '\0')
      Null();
    else
      Text(text);
  }
  // What a token gave, as it can be shown.
  void TokenText(const char* utf8) { Text(ShownFromUtf8(utf8)); }
  void TokenTextOrNull(const char* utf8) { TextOrNull(ShownFromUtf8(utf8)); }
  void Int(int value) { Add(Int32GetDatum(value)); }
  void Bigint(std::uint64_t value) { Add(Int64GetDatum(static_cast<int64>(value))); }
  void Double(double value) { Add(Float8GetDatum(value)); }
  void Time(TimestampTz value) { Add(TimestampTzGetDatum(value)); }
  void Bool(bool value) { Add(BoolGetDatum(value)); }
  void Value(Datum value) { Add(value); }
  void Null() {
    nulls_[count_] = true;
    Add(Datum{0});
  }
  // The names whose bit is set, as text[].
  template <class Names>
  void Flags(std::uint64_t flags, const Names& names) {
    Datum set[64];
    int count = 0;
    for (const auto& [bit, name] : names)
      if ((flags & bit) != 0) set[count++] = CStringGetTextDatum(name);
    Add(PointerGetDatum(construct_array(set, count, TEXTOID, -1, false, TYPALIGN_INT)));
  }

  // Into the tuplestore of InitMaterializedSRF.
  void Put(FunctionCallInfo fcinfo) {
    auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    tuplestore_putvalues(result->setResult, result->setDesc, values_, nulls_);
  }
  // As the one row of a composite result.
  Datum Composite(FunctionCallInfo fcinfo) {
    TupleDesc descriptor;
    if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE)
      elog(ERROR, "the function must be declared to return a row");
    return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values_, nulls_));
  }

 private:
  void Add(Datum value) { values_[count_++] = value; }

  static constexpr int kMaxColumns = 24;
  Datum values_[kMaxColumns];
  bool nulls_[kMaxColumns] = {};
  int count_ = 0;
};

}  // namespace trustpoint::pg
