// From the bytes of a key to OpenSSL's key, which is RSA or EC. Reading a key of another type, OpenSSL
// calculates the public number from the private one: for numbers that fill a text that takes hours, in which
// nothing can cancel the query. Reading one of these two it calculates with numbers of a curve's size at
// most. Included by src/crypto/*.cpp alone.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "crypto/openssl.hpp"

namespace trustpoint::crypto {

enum class KeyForm : std::uint8_t {
  kPublic,  // SubjectPublicKeyInfo
  kPkcs8,   // PrivateKeyInfo
  kPkcs1,   // RSAPrivateKey
  kSec1,    // ECPrivateKey
};

struct DecodedKey {
  Key key;                  // nullptr: the bytes are no key
  bool other_type = false;  // they are, perhaps: of a type that is not read
  std::size_t size = 0;     // of the key; bytes may follow it
};

DecodedKey DecodeKey(base::Bytes der, KeyForm form);

}  // namespace trustpoint::crypto
