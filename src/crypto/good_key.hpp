// Small keys that are good, and a secret of nobody: a library context that does not read one of them was
// loaded in part, and what it says of other keys of that kind is not to be believed. Included by
// src/crypto/*.cpp alone.
#pragma once

#include <openssl/params.h>

#include <array>
#include <string_view>

#include "base/bytes.hpp"
#include "crypto/decode_key.hpp"

namespace trustpoint::crypto {

// type: "RSA" or "EC".
base::Bytes GoodKey(KeyForm form, std::string_view type);
std::array<OSSL_PARAM, 3> GoodPublicNumbers(std::string_view type);

}  // namespace trustpoint::crypto
