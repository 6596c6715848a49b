// RSA decryption by a key in the token. OAEP with SHA-1 and PKCS#1 v1.5 by the token's own mechanism where it
// has one; everything else as CKM_RSA_X_509, unpadded here. The raw operation is reachable by nothing else.
#pragma once

#include <cstddef>

#include "base/bytes.hpp"
#include "hsm/token_key.hpp"

namespace trustpoint::hsm {

inline constexpr std::size_t kMaxRsaBlockSize = 2048;

// Writes the plaintext to out, which has room for kMaxRsaBlockSize, and returns its size. Throws
// kInvalidArgument: not an RSA key that decrypts; kAuthenticationFailed: one error for everything that is
// wrong with the ciphertext; kTokenRefused, naming the mechanism: the token cannot do it. label: of OAEP.
std::size_t RsaDecrypt(pkcs11::Session& session, const TokenKey& key, crypto::RsaPadding padding,
                       base::Bytes ciphertext, base::MutableBytes out, base::Bytes label = {});

}  // namespace trustpoint::hsm
