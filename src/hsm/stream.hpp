// Long work in the token, in pieces between which it can be stopped: digests and random bytes.
#pragma once

#include "base/bytes.hpp"
#include "crypto/hash.hpp"
#include "pkcs11/session.hpp"

namespace trustpoint::hsm {

// True: stop. Asked between two calls of the token.
using Stop = bool (*)();

// False: stopped, and nothing is in *digest. The next call begins anew. Throws kTokenRefused, naming the
// mechanism, where the token lacks it.
[[nodiscard]] bool DigestInToken(pkcs11::Session& session, crypto::Hash hash, base::Bytes data, Stop stop,
                                 crypto::Digest* digest);
// False: stopped, and out holds less than it should.
[[nodiscard]] bool RandomFromToken(pkcs11::Session& session, base::MutableBytes out, Stop stop);

}  // namespace trustpoint::hsm
