// RFC 7512 URIs that name a key, for labels that are not enough: "pkcs11:id=%b1%02", "pkcs11:object=ca".
#pragma once

#include <string>
#include <string_view>

#include "pg/known_keys.hpp"

namespace trustpoint::pg {

struct KeyUri {
  std::string label;  // empty: not given
  KeyId id{};         // empty: not given
};

// For bodies. Throws kInvalidArgument: no such URI, or an attribute other than id and object.
KeyUri ParseKeyUri(std::string_view text);

}  // namespace trustpoint::pg
