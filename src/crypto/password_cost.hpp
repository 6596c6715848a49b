// What it costs to derive a key from a passphrase, which an encrypted private key says of itself: four bytes
// of it may ask for hours, in which nothing can cancel the query. Included by src/crypto/*.cpp alone.
#pragma once

#include <openssl/types.h>

namespace trustpoint::crypto {

// Iterations of PBKDF2 and of the derivations before it: a second or two.
inline constexpr unsigned long kMaxIterations = 2'000'000;
// N r p of scrypt: the same. OpenSSL bounds its memory.
inline constexpr unsigned long kMaxScryptCost = 1UL << 22;

// Throws kInvalidArgument when the algorithm of an EncryptedPrivateKeyInfo asks for more.
void CheckPasswordCost(const X509_ALGOR* algorithm);

}  // namespace trustpoint::crypto
