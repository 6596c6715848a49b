// CK_RV in words: names, and the Error each one becomes.
#pragma once

#include <string>

#include "base/error.hpp"
#include "pkcs11/cryptoki.hpp"

namespace trustpoint::pkcs11 {

// "CKR_PIN_INCORRECT (0xA0)"; for a code without a standard name "0x80000001" and the like.
std::string RvName(CK_RV rv);

// The Error for a failed call: the code follows the CKR, the detail is "C_Login: CKR_PIN_INCORRECT (0xA0)".
base::Error MakeError(CK_RV rv, const char* function);

// Throws MakeError unless rv is CKR_OK.
void Check(CK_RV rv, const char* function);

// The token refused the PIN, whatever its reason: the same PIN must not be sent again.
bool IsPinRefusal(CK_RV rv);

}  // namespace trustpoint::pkcs11
