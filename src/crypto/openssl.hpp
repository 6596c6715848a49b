// What the files of this room share: OpenSSL's library context of our own, and its errors. Included by
// src/crypto/*.cpp alone.
#pragma once

#include <openssl/types.h>

namespace trustpoint::crypto {

// A library context of our own, so that what a PKCS#11 module or libpq does to OpenSSL's default one
// (engines, providers, a replaced random generator) does not reach us. Made on first use, never freed.
OSSL_LIB_CTX* Library();

// Throws kInternal naming what failed, with OpenSSL's reason, and empties OpenSSL's error queue.
[[noreturn]] void ThrowOpenSsl(const char* what);

}  // namespace trustpoint::crypto
