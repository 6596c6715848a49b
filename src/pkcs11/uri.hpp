// The path attributes of an RFC 7512 URI that name a token.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace trustpoint::pkcs11 {

struct TokenUri {
  std::optional<std::string> token, serial, manufacturer, model;
};

bool IsUri(std::string_view text);

// The value of an attribute, with its %XX as bytes. nullopt: a percent sign without two hexadecimal digits.
std::optional<std::string> PercentDecoded(std::string_view value);

// Throws kInvalidArgument, without quoting the text: it may hold a PIN. Refused by name: whatever would bring
// a PIN or load code (pin-value, pin-source, module-path, module-name), and attributes that name no token.
TokenUri ParseTokenUri(std::string_view text);

}  // namespace trustpoint::pkcs11
