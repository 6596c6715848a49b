// The texts of PKCS#11: fixed fields, padded with blanks, versions in two bytes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "pkcs11/cryptoki.hpp"

namespace trustpoint::pkcs11 {

// Without the padding; some modules pad with zeros.
template <std::size_t N>
std::string Unpadded(const CK_UTF8CHAR (&field)[N]) {
  std::string_view text(reinterpret_cast<const char*>(field), N);
  text = text.substr(0, text.find('\0'));
  const std::size_t last = text.find_last_not_of(' ');
  return std::string(text.substr(0, last == std::string_view::npos ? 0 : last + 1));
}

inline std::string VersionText(const CK_VERSION& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor);
}

}  // namespace trustpoint::pkcs11
