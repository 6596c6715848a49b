// New keys in the token. Every one is read back and tried before the call returns; one that came out weaker
// than asked, or does not work, is destroyed and the call fails.
#pragma once

#include <string_view>

#include "base/bytes.hpp"
#include "crypto/private_key.hpp"
#include "hsm/token_key.hpp"

namespace trustpoint::hsm {

// id: kKeyIdSize random bytes that the caller has written down before, for the case that it dies in between.
struct NewKey {
  std::string_view label;
  base::Bytes id;
};

// All mark the session as sent, so none runs twice. They throw kExists when the token has an object with the
// label or the id; kInvalidArgument for sizes and labels; kTokenRefused, naming the mechanism, for what the
// token cannot do (before anything is tried) and for a key that came out weaker.
TokenKey MakeRsaKey(pkcs11::Session& session, const NewKey& key, unsigned bits, Usage usage);
TokenKey MakeEcKey(pkcs11::Session& session, const NewKey& key, crypto::Curve curve);  // signs
TokenKey MakeAesKey(pkcs11::Session& session, const NewKey& key, unsigned bits, AesMode mode);
// An EC key signs only.
TokenKey ImportKey(pkcs11::Session& session, const NewKey& key, const crypto::PrivateKey& value, Usage usage);

// The checks of the arguments alone, to be made before anything is written down. Throw kInvalidArgument.
void CheckRsaBits(unsigned bits);
void CheckAesBits(unsigned bits);

}  // namespace trustpoint::hsm
