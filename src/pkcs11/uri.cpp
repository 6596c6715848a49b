#include "pkcs11/uri.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"

namespace trustpoint::pkcs11 {
namespace {

constexpr std::string_view kScheme = "pkcs11:";

[[noreturn]] void ThrowBad(const std::string& why) {
  throw base::Error(base::ErrorCode::kInvalidArgument, "the token's PKCS#11 URI is not usable", why,
                    "Write it as pkcs11:token=NAME;serial=NUMBER, with %20 for a space.");
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsPlain(char c) {
  constexpr std::string_view kOther = "-._~:[]@!$'()*+,=&";
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         kOther.find(c) != std::string_view::npos;
}

std::string Decode(std::string_view value) {
  if (!std::ranges::all_of(value, [](char c) { return c == '%' || IsPlain(c); }))
    ThrowBad("A character of a value must be percent-encoded.");
  std::optional<std::string> decoded = PercentDecoded(value);
  if (!decoded) ThrowBad("A percent sign is not followed by two hexadecimal digits.");
  return *std::move(decoded);
}

[[noreturn]] void ThrowRefused(std::string_view name) {
  for (const std::string_view secret : {"pin-value", "pin-source"})
    if (name == secret)
      ThrowBad(std::string(secret) + " is not accepted: trustpoint.pin_file names the PIN's file.");
  for (const std::string_view code : {"module-path", "module-name"})
    if (name == code)
      ThrowBad(std::string(code) + " is not accepted: trustpoint.pkcs11_module names the module.");
  for (const std::string_view other :
       {"slot-id", "slot-description", "slot-manufacturer", "library-manufacturer", "library-description",
        "library-version", "object", "type", "id"})
    if (name == other) ThrowBad(std::string(other) + " does not name a token.");
  ThrowBad("It has an attribute that is not known.");
}

std::optional<std::string>& Field(TokenUri& uri, std::string_view name) {
  if (name == "token") return uri.token;
  if (name == "serial") return uri.serial;
  if (name == "manufacturer") return uri.manufacturer;
  if (name == "model") return uri.model;
  ThrowRefused(name);
}

}  // namespace

std::optional<std::string> PercentDecoded(std::string_view value) {
  std::string decoded;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] != '%') {
      decoded += value[i];
      continue;
    }
    const int high = i + 2 < value.size() ? HexDigit(value[i + 1]) : -1;
    const int low = i + 2 < value.size() ? HexDigit(value[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    decoded += static_cast<char>(high << 4 | low);
    i += 2;
  }
  return decoded;
}

bool IsUri(std::string_view text) { return text.substr(0, kScheme.size()) == kScheme; }

TokenUri ParseTokenUri(std::string_view text) {
  if (!IsUri(text)) ThrowBad("It does not begin with pkcs11:.");
  text.remove_prefix(kScheme.size());
  const std::size_t question = text.find('?');
  if (question != std::string_view::npos) {
    const std::string_view query = text.substr(question + 1);
    ThrowRefused(query.substr(0, query.find('=')));
  }
  TokenUri uri;
  while (!text.empty()) {
    const std::size_t end = text.find(';');
    const std::string_view attribute = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    const std::size_t equals = attribute.find('=');
    if (equals == std::string_view::npos) ThrowBad("An attribute has no value.");
    std::optional<std::string>& field = Field(uri, attribute.substr(0, equals));
    if (field) ThrowBad("An attribute is given twice.");
    field = Decode(attribute.substr(equals + 1));
  }
  return uri;
}

}  // namespace trustpoint::pkcs11
