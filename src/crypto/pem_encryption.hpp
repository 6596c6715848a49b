// What takes the encryption off a private key in PEM. Included by src/crypto/*.cpp alone.
#pragma once

#include "base/bytes.hpp"
#include "crypto/pem.hpp"

namespace trustpoint::crypto {

inline constexpr std::string_view kEncryptedPkcs8 = "ENCRYPTED PRIVATE KEY";

bool IsEncrypted(const PemBlock& block);
// False: the passphrase is wrong or the block damaged. Afterwards it holds what was encrypted. Throws
// kInvalidArgument when the passphrase is to be hashed for too long, or OpenSSL does not offer the cipher.
bool Decrypt(PemBlock* block, base::Bytes passphrase);

}  // namespace trustpoint::crypto
