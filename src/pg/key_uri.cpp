#include "pg/key_uri.hpp"

#include "base/error.hpp"

namespace trustpoint::pg {
namespace {

constexpr std::string_view kScheme = "pkcs11:";

[[noreturn]] void ThrowBad() {
  throw base::Error(
      base::ErrorCode::kInvalidArgument, "not a PKCS#11 URI of a key", {},
      "Write pkcs11:id=%b1%02 with each byte of the CKA_ID in hexadecimal, or pkcs11:object=LABEL, or both "
      "with a semicolon between.");
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string Decode(std::string_view value) {
  std::string decoded;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] != '%') {
      decoded += value[i];
      continue;
    }
    const int high = i + 2 < value.size() ? HexDigit(value[i + 1]) : -1;
    const int low = i + 2 < value.size() ? HexDigit(value[i + 2]) : -1;
    if (high < 0 || low < 0) ThrowBad();
    decoded += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return decoded;
}

}  // namespace

KeyUri ParseKeyUri(std::string_view text) {
  KeyUri uri;
  text.remove_prefix(kScheme.size());
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(';'));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const std::size_t equals = part.find('=');
    if (equals == part.npos) ThrowBad();
    const std::string value = Decode(part.substr(equals + 1));
    if (part.substr(0, equals) == "object" && uri.label.empty())
      uri.label = value;
    else if (part.substr(0, equals) == "id" && uri.id.size == 0)
      uri.id = ToKeyId(base::AsBytes(value));
    else
      ThrowBad();
    if (value.empty() || value.size() > sizeof uri.id.bytes) ThrowBad();
  }
  if (uri.label.empty() && uri.id.size == 0) ThrowBad();
  return uri;
}

}  // namespace trustpoint::pg
