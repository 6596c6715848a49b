// The standard names of mechanisms.
#pragma once

#include <string>

#include "pkcs11/cryptoki.hpp"

namespace trustpoint::pkcs11 {

// "CKM_AES_GCM", or "0x80000001" where there is no standard name.
std::string MechanismName(CK_MECHANISM_TYPE type);

}  // namespace trustpoint::pkcs11
