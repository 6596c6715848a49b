// What a key of the token must be, and must not be able to do, to be a KEK.
#pragma once

#include <string>
#include <string_view>

#include "keyring/rows.hpp"
#include "pkcs11/cryptoki.hpp"
#include "pkcs11/object.hpp"
#include "pkcs11/session.hpp"

namespace trustpoint::keyring {

// For the template of a new one.
void AddKekAttributes(pkcs11::Template* attributes, KekUse use);

// Throws kWrongKek for a weak key. Returns the attributes that the module does not know: "CKA_COPYABLE".
std::string CheckKekAttributes(pkcs11::Session& session, CK_OBJECT_HANDLE kek, std::string_view label,
                               KekUse use);

}  // namespace trustpoint::keyring
