#include "pg/text.hpp"

#include <algorithm>

extern "C" {
#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"
}

namespace trustpoint::pg {
namespace {

// In these the bytes are UTF-8 already, or are taken to be: SQL_ASCII says nothing of them.
bool KeepsBytes(int encoding) { return encoding == PG_UTF8 || encoding == PG_SQL_ASCII; }

bool IsUtf8(std::string_view text) {
  return pg_verify_mbstr(PG_UTF8, text.data(), static_cast<int>(text.size()), true);
}

struct Converted {
  char* data;
  size_t size;
  bool complete;  // every byte had a place
};

// Without PostgreSQL's errors. The result is palloc'ed, whole or not.
Converted Convert(std::string_view source, int from, int to) {
  const Oid conversion = FindDefaultConversionProc(from, to);
  if (!OidIsValid(conversion))
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_FUNCTION),
             errmsg("no conversion between %s and %s", pg_encoding_to_char(from), pg_encoding_to_char(to))));
  const size_t room = source.size() * MAX_CONVERSION_GROWTH + 1;
  if (!AllocSizeIsValid(room))
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("text is too large to convert to UTF-8"),
                    errhint("Use bytea in a database of this encoding.")));
  auto* target = static_cast<char*>(palloc(room));
  auto* bytes = reinterpret_cast<unsigned char*>(const_cast<char*>(source.data()));
  const int consumed =
      pg_do_encoding_conversion_buf(conversion, from, to, bytes, static_cast<int>(source.size()),
                                    reinterpret_cast<unsigned char*>(target), static_cast<int>(room), true);
  return {target, strlen(target), static_cast<size_t>(consumed) == source.size()};
}

void WipeAndFree(char* data, size_t size) {
  base::Wipe({reinterpret_cast<std::uint8_t*>(data), size});
  pfree(data);
}

[[noreturn]] void RaiseNotText(const char* hint) {
  ereport(ERROR, (errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE), errmsg("the value is not valid text"),
                  errhint("%s", hint)));
  pg_unreachable();
}

[[noreturn]] void RaiseUntranslatable() {
  ereport(ERROR,
          (errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
           errmsg("the text has a character that has no place in encoding %s", GetDatabaseEncodingName()),
           errhint("Read it with tp_decrypt_bytea, or from a database with encoding UTF8.")));
  pg_unreachable();
}

}  // namespace

Utf8 ToUtf8(std::string_view text) {
  const int encoding = GetDatabaseEncoding();
  if (encoding == PG_SQL_ASCII && !IsUtf8(text))
    RaiseNotText("In a database with encoding SQL_ASCII text must be UTF-8. Use bytea for other bytes.");
  if (KeepsBytes(encoding)) return {text.data(), text.size(), nullptr};
  const Converted converted = Convert(text, encoding, PG_UTF8);
  if (!converted.complete) {
    WipeAndFree(converted.data, converted.size);
    RaiseNotText("It has bytes that its encoding does not allow. Use bytea for bytes.");
  }
  return {converted.data, converted.size, converted.data};
}

std::string_view FromUtf8(std::string_view utf8) {
  const int encoding = GetDatabaseEncoding();
  if (KeepsBytes(encoding)) return utf8;
  const Converted converted = Convert(utf8, PG_UTF8, encoding);
  if (!converted.complete) RaiseUntranslatable();
  return {converted.data, converted.size};
}

const char* ShownFromUtf8(const char* utf8) {
  const int encoding = GetDatabaseEncoding();
  if (KeepsBytes(encoding) || !IsUtf8(utf8)) return Printable(utf8);
  const Converted converted = Convert(utf8, PG_UTF8, encoding);
  if (converted.complete) return Printable(converted.data);
  char* ascii = pstrdup(utf8);
  for (char* c = ascii; *c != '\0'; ++c)
    if ((*c & 0x80) != 0) *c = '?';
  return Printable(ascii);
}

text* ReplaceByText(struct varlena* utf8) {
  char* data = VARDATA(utf8);
  const size_t size = VARSIZE(utf8) - VARHDRSZ;
  if (!IsUtf8({data, size})) {
    WipeAndFree(reinterpret_cast<char*>(utf8), VARSIZE(utf8));
    RaiseNotText("It was encrypted as bytea. Read it with tp_decrypt_bytea.");
  }
  const int encoding = GetDatabaseEncoding();
  if (KeepsBytes(encoding)) return reinterpret_cast<text*>(utf8);

  const Converted converted = Convert({data, size}, PG_UTF8, encoding);
  WipeAndFree(reinterpret_cast<char*>(utf8), VARSIZE(utf8));
  if (!converted.complete) {
    WipeAndFree(converted.data, converted.size);
    RaiseUntranslatable();
  }
  text* result = cstring_to_text_with_len(converted.data, static_cast<int>(converted.size));
  WipeAndFree(converted.data, converted.size);
  return result;
}

const char* Printable(const char* text) {
  char* copy = pstrdup(text);
  const bool valid = pg_verify_mbstr(GetDatabaseEncoding(), copy, static_cast<int>(strlen(copy)), true);
  for (char* c = copy; *c != '\0'; ++c)
    if ((!valid && (*c & 0x80) != 0) || static_cast<unsigned char>(*c) < ' ') *c = '?';
  return copy;
}

}  // namespace trustpoint::pg
