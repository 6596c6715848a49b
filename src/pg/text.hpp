// Text in and out: encrypted as UTF-8 whatever the database's encoding, and never quoted in an error, as
// PostgreSQL's own conversion errors quote the bytes.
#pragma once

#include <string_view>

#include "base/bytes.hpp"
#include "pg/postgres.hpp"

namespace trustpoint::pg {

// Text as UTF-8: a view of the caller's bytes, or of a converted copy that Forget wipes.
struct Utf8 {
  const char* data;
  size_t size;
  char* copy;  // nullptr: none was needed

  std::string_view view() const { return {data, size}; }
  base::Bytes bytes() const { return base::AsBytes(view()); }
  void Forget() const {
    if (copy == nullptr) return;
    base::Wipe({reinterpret_cast<std::uint8_t*>(copy), size});
    pfree(copy);
  }
};

// What comes from elsewhere may be any bytes.
bool IsUtf8(std::string_view text);

namespace internal {
extern bool is_utf8;  // the database's encoding, once ConvertToUtf8 has asked: then text is valid as it is
Utf8 ConvertToUtf8(std::string_view text);
}  // namespace internal

// From the database's encoding. Raises 22021 for text that is not valid, 54000 for text that grows too large.
inline Utf8 ToUtf8(std::string_view text) {
  if (!internal::is_utf8) [[unlikely]]
    return internal::ConvertToUtf8(text);
  return {text.data(), text.size(), nullptr};
}

// To the database's encoding; palloc'ed where the encodings differ. For names: raises as ReplaceByText does.
std::string_view FromUtf8(std::string_view utf8);

// The same for what is only shown, in messages and of what a token gave: never raises for what has no place
// there.
const char* ShownFromUtf8(std::string_view utf8);

// A setting's value as UTF-8: postgresql.conf has it so, for databases of every encoding, and a SET has it in
// the encoding of this one.
Utf8 SettingToUtf8(const char* value);

// Makes decrypted UTF-8, a varlena of exactly its size, into text of the database. The bytes are checked, and
// wiped where the result is another copy or an error: 22021 for bytes that are no text, with a hint where
// they come from; 22P05 for characters that the database's encoding lacks.
text* ReplaceByText(struct varlena* utf8, const char* if_no_text, const char* if_no_place);

// A copy that is safe to show: a token may have put anything into a label.
const char* Printable(const char* text);
// The same in place, where nothing may be allocated.
void MakePrintable(char* text);

}  // namespace trustpoint::pg
