// AES by a key in the token, in the one mode that the key was made for.
//
//   gcm      iv(12) ciphertext tag(16)      AAD "tpaes1" and the label
//   cbc-pad  iv(16) ciphertext              no integrity
//   ecb      ciphertext                     whole blocks; no integrity, equal blocks show
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "hsm/token_key.hpp"

namespace trustpoint::hsm {

// Room that the result of so many bytes needs; the result may be shorter. Throws kTooLarge.
std::size_t AesEncryptRoom(AesMode mode, std::size_t size);
std::size_t AesDecryptRoom(AesMode mode, std::size_t size);

// The mode in which the key serves: what the token keeps, else recorded, what the caller's table says. Throws
// kInvalidArgument: no AES key, the two differ, or neither is known.
AesMode ChooseMode(const TokenKey& key, std::optional<AesMode> recorded);

// Both write to out, of the room above, and return the size of the result. bound_label: the label that
// authenticates a GCM value; it must stay the same when the key is renamed. AesEncrypt throws
// kInvalidArgument (ecb: not whole blocks), kTokenRefused (the token lacks the mechanism, which is named).
std::size_t AesEncrypt(pkcs11::Session& session, const TokenKey& key, AesMode mode,
                       std::string_view bound_label, base::Bytes data, base::MutableBytes out);
// Throws kAuthenticationFailed for every value that does not decrypt.
std::size_t AesDecrypt(pkcs11::Session& session, const TokenKey& key, AesMode mode,
                       std::string_view bound_label, base::Bytes value, base::MutableBytes out);

}  // namespace trustpoint::hsm
