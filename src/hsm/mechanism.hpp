// Which mechanism stands for which name, and whether the token has it. For this room alone.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "hsm/token_key.hpp"
#include "pkcs11/cryptoki.hpp"
#include "pkcs11/session.hpp"

namespace trustpoint::hsm {

CK_MECHANISM_TYPE MechanismOf(AesMode mode) noexcept;       // CKM_AES_GCM, ...
CK_MECHANISM_TYPE MechanismOf(crypto::Hash hash) noexcept;  // CKM_SHA256, ...
CK_RSA_PKCS_MGF_TYPE MaskOf(crypto::Hash hash) noexcept;    // CKG_MGF1_SHA256, ...
std::string UpperName(crypto::Hash hash);                   // "SHA-256"

// The mode that CKA_ALLOWED_MECHANISMS names, when it names one and no other mechanism.
std::optional<AesMode> ModeOfMechanisms(base::Bytes value) noexcept;

// Throws kTokenRefused, naming the mechanism, when the token does not list it for these uses or for keys of
// so many bits.
void RequireMechanismFor(pkcs11::Session& session, CK_MECHANISM_TYPE type, CK_FLAGS needed, unsigned bits);

// What a key of the usage will be used with; the same refusal.
void RequireUse(pkcs11::Session& session, crypto::KeyType type, Usage usage);

}  // namespace trustpoint::hsm
