#include "pkcs11/retry.hpp"

#include <string_view>

namespace trustpoint::pkcs11 {
namespace {

// Calls that judge what they are given, so that a vague answer may mean bad input.
bool JudgesData(std::string_view function) {
  return function == "C_Decrypt" || function == "C_UnwrapKey" || function == "C_Verify";
}

}  // namespace

Class ClassOf(CK_RV rv) noexcept {
  switch (rv) {
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
    case CKR_OPERATION_ACTIVE:
    case CKR_OPERATION_NOT_INITIALIZED:
      return Class::kSession;

    case CKR_OBJECT_HANDLE_INVALID:
    case CKR_KEY_HANDLE_INVALID:
    case CKR_WRAPPING_KEY_HANDLE_INVALID:
    case CKR_UNWRAPPING_KEY_HANDLE_INVALID:
      return Class::kHandle;

    case CKR_USER_NOT_LOGGED_IN:
      return Class::kLogin;

    case CKR_DEVICE_ERROR:
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_SLOT_ID_INVALID:
    case CKR_CRYPTOKI_NOT_INITIALIZED:
      return Class::kDevice;

    case CKR_GENERAL_ERROR:
    case CKR_FUNCTION_FAILED:
      return Class::kDeviceOrData;

    case CKR_SESSION_COUNT:
    case CKR_DEVICE_MEMORY:
    case CKR_HOST_MEMORY:
      return Class::kResources;

    default:  // a vendor's own codes stand for outages far more often than for refusals
      return rv >= CKR_VENDOR_DEFINED ? Class::kDevice : Class::kPermanent;
  }
}

Recovery RecoveryFor(CK_RV rv, const char* function) noexcept {
  // "No such object" is also what SoftHSM says when its token folder is gone.
  if (rv == CKR_OK) return Recovery::kAskToken;
  switch (ClassOf(rv)) {
    case Class::kSession:
      return Recovery::kReopen;
    case Class::kHandle:
      return Recovery::kRefind;
    case Class::kLogin:
      return Recovery::kLogin;
    case Class::kDevice:
      return Recovery::kReinitialize;
    case Class::kDeviceOrData:
      return JudgesData(function) ? Recovery::kAskToken : Recovery::kReinitialize;
    case Class::kResources:
      return Recovery::kWait;
    case Class::kPermanent:
      return Recovery::kNone;
  }
  return Recovery::kNone;
}

bool IsHalfWritten(CK_RV rv) noexcept {
  return rv == CKR_TOKEN_NOT_PRESENT || rv == CKR_TOKEN_NOT_RECOGNIZED ||
         rv == CKR_USER_PIN_NOT_INITIALIZED || rv == CKR_GENERAL_ERROR;
}

bool IsVague(CK_RV rv) noexcept {
  return rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED || rv >= CKR_VENDOR_DEFINED;
}

}  // namespace trustpoint::pkcs11
