#include "pg/text.hpp"

#include <algorithm>

extern "C" {
#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"
}

namespace trustpoint::pg {

bool internal::is_utf8 = false;

namespace {

// In these the bytes are UTF-8 already, or are taken to be: SQL_ASCII says nothing of them.
bool KeepsBytes(int encoding) { return encoding == PG_UTF8 || encoding == PG_SQL_ASCII; }

bool IsHigh(char c) { return (c & 0x80) != 0; }

bool IsAscii(std::string_view text) { return std::none_of(text.begin(), text.end(), IsHigh); }

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

[[noreturn]] void RaiseUntranslatable(const char* hint) {
  ereport(ERROR,
          (errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
           errmsg("the text has a character that has no place in encoding %s", GetDatabaseEncodingName()),
           errhint("%s", hint)));
  pg_unreachable();
}

}  // namespace

bool IsUtf8(std::string_view text) {
  return pg_verify_mbstr(PG_UTF8, text.data(), static_cast<int>(text.size()), true);
}

Utf8 internal::ConvertToUtf8(std::string_view text) {
  const int encoding = GetDatabaseEncoding();
  is_utf8 = encoding == PG_UTF8;
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
  if (!converted.complete) RaiseUntranslatable("Use a database with encoding UTF8.");
  return {converted.data, converted.size};
}

const char* ShownFromUtf8(std::string_view utf8) {
  const int encoding = GetDatabaseEncoding();
  char* copy = pnstrdup(utf8.data(), utf8.size());
  if (!KeepsBytes(encoding) && !IsAscii(utf8) && IsUtf8(utf8)) {
    const Converted converted = Convert(utf8, PG_UTF8, encoding);
    if (converted.complete)
      copy = converted.data;
    else
      std::replace_if(copy, copy + strlen(copy), IsHigh, '?');
  }
  MakePrintable(copy);
  return copy;
}

Utf8 SettingToUtf8(const char* value) {
  if (IsUtf8(value)) return {value, strlen(value), nullptr};
  if (KeepsBytes(GetDatabaseEncoding())) RaiseNotText("Write settings in UTF-8.");
  return ToUtf8(value);
}

text* ReplaceByText(struct varlena* utf8, const char* if_no_text, const char* if_no_place) {
  char* data = VARDATA(utf8);
  const size_t size = VARSIZE(utf8) - VARHDRSZ;
  if (!IsUtf8({data, size})) {
    WipeAndFree(reinterpret_cast<char*>(utf8), VARSIZE(utf8));
    RaiseNotText(if_no_text);
  }
  const int encoding = GetDatabaseEncoding();
  if (KeepsBytes(encoding)) return reinterpret_cast<text*>(utf8);

  const Converted converted = Convert({data, size}, PG_UTF8, encoding);
  WipeAndFree(reinterpret_cast<char*>(utf8), VARSIZE(utf8));
  if (!converted.complete) {
    WipeAndFree(converted.data, converted.size);
    RaiseUntranslatable(if_no_place);
  }
  text* result = cstring_to_text_with_len(converted.data, static_cast<int>(converted.size));
  WipeAndFree(converted.data, converted.size);
  return result;
}

const char* Printable(const char* text) {
  char* copy = pstrdup(text);
  MakePrintable(copy);
  return copy;
}

void MakePrintable(char* text) {
  const size_t size = strlen(text);
  const bool valid = pg_verify_mbstr(GetDatabaseEncoding(), text, static_cast<int>(size), true);
  std::replace_if(
      text, text + size, [=](char c) { return (!valid && IsHigh(c)) || static_cast<unsigned char>(c) < ' '; },
      '?');
}

}  // namespace trustpoint::pg
