#include "pg/key_uri.hpp"

#include <algorithm>
#include <optional>

#include "base/error.hpp"
#include "pkcs11/uri.hpp"

namespace trustpoint::pg {
namespace {

constexpr std::string_view kScheme = "pkcs11:";

[[noreturn]] void ThrowBad() {
  throw base::Error(
      base::ErrorCode::kInvalidArgument, "not a PKCS#11 URI of a key", {},
      "Write pkcs11:id=%b1%02 with each byte of the CKA_ID in hexadecimal, or pkcs11:object=LABEL, or both "
      "with a semicolon between.");
}

}  // namespace

KeyUri ParseKeyUri(std::string_view text) {
  KeyUri uri;
  text.remove_prefix(kScheme.size());
  if (text.find('?') != text.npos) ThrowBad();  // a query may hold a PIN, and a label is told in messages
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(';'));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const std::size_t equals = part.find('=');
    if (equals == part.npos) ThrowBad();
    const std::optional<std::string> decoded = pkcs11::PercentDecoded(part.substr(equals + 1));
    if (!decoded) ThrowBad();
    const std::string& value = *decoded;
    if (part.substr(0, equals) == "object" && uri.label.empty())
      uri.label = value;
    else if (part.substr(0, equals) == "id" && uri.id.size == 0)
      uri.id = ToKeyId(base::AsBytes(value));
    else
      ThrowBad();
    if (value.empty() || value.size() > sizeof uri.id.bytes) ThrowBad();
    if (uri.label.find('\0') != uri.label.npos) ThrowBad();  // PostgreSQL's text would end there
  }
  if (uri.label.empty() && uri.id.size == 0) ThrowBad();
  return uri;
}

}  // namespace trustpoint::pg
