#include "pkcs11/rv.hpp"

#include <cstdio>
#include <string_view>

#include "pkcs11/retry.hpp"

namespace trustpoint::pkcs11 {
namespace {

using base::Error;
using base::ErrorCode;

struct Name {
  CK_RV rv;
  std::string_view name;
};

#define NAME(rv) \
  { rv, #rv }
constexpr Name kNames[] = {
    NAME(CKR_CANCEL),
    NAME(CKR_HOST_MEMORY),
    NAME(CKR_SLOT_ID_INVALID),
    NAME(CKR_GENERAL_ERROR),
    NAME(CKR_FUNCTION_FAILED),
    NAME(CKR_ARGUMENTS_BAD),
    NAME(CKR_NO_EVENT),
    NAME(CKR_NEED_TO_CREATE_THREADS),
    NAME(CKR_CANT_LOCK),
    NAME(CKR_ATTRIBUTE_READ_ONLY),
    NAME(CKR_ATTRIBUTE_SENSITIVE),
    NAME(CKR_ATTRIBUTE_TYPE_INVALID),
    NAME(CKR_ATTRIBUTE_VALUE_INVALID),
    NAME(CKR_ACTION_PROHIBITED),
    NAME(CKR_DATA_INVALID),
    NAME(CKR_DATA_LEN_RANGE),
    NAME(CKR_DEVICE_ERROR),
    NAME(CKR_DEVICE_MEMORY),
    NAME(CKR_DEVICE_REMOVED),
    NAME(CKR_ENCRYPTED_DATA_INVALID),
    NAME(CKR_ENCRYPTED_DATA_LEN_RANGE),
    NAME(CKR_FUNCTION_CANCELED),
    NAME(CKR_FUNCTION_NOT_PARALLEL),
    NAME(CKR_FUNCTION_NOT_SUPPORTED),
    NAME(CKR_KEY_HANDLE_INVALID),
    NAME(CKR_KEY_SIZE_RANGE),
    NAME(CKR_KEY_TYPE_INCONSISTENT),
    NAME(CKR_KEY_NOT_NEEDED),
    NAME(CKR_KEY_CHANGED),
    NAME(CKR_KEY_NEEDED),
    NAME(CKR_KEY_INDIGESTIBLE),
    NAME(CKR_KEY_FUNCTION_NOT_PERMITTED),
    NAME(CKR_KEY_NOT_WRAPPABLE),
    NAME(CKR_KEY_UNEXTRACTABLE),
    NAME(CKR_MECHANISM_INVALID),
    NAME(CKR_MECHANISM_PARAM_INVALID),
    NAME(CKR_OBJECT_HANDLE_INVALID),
    NAME(CKR_OPERATION_ACTIVE),
    NAME(CKR_OPERATION_NOT_INITIALIZED),
    NAME(CKR_PIN_INCORRECT),
    NAME(CKR_PIN_INVALID),
    NAME(CKR_PIN_LEN_RANGE),
    NAME(CKR_PIN_EXPIRED),
    NAME(CKR_PIN_LOCKED),
    NAME(CKR_SESSION_CLOSED),
    NAME(CKR_SESSION_COUNT),
    NAME(CKR_SESSION_HANDLE_INVALID),
    NAME(CKR_SESSION_PARALLEL_NOT_SUPPORTED),
    NAME(CKR_SESSION_READ_ONLY),
    NAME(CKR_SESSION_EXISTS),
    NAME(CKR_SESSION_READ_ONLY_EXISTS),
    NAME(CKR_SESSION_READ_WRITE_SO_EXISTS),
    NAME(CKR_SIGNATURE_INVALID),
    NAME(CKR_SIGNATURE_LEN_RANGE),
    NAME(CKR_TEMPLATE_INCOMPLETE),
    NAME(CKR_TEMPLATE_INCONSISTENT),
    NAME(CKR_TOKEN_NOT_PRESENT),
    NAME(CKR_TOKEN_NOT_RECOGNIZED),
    NAME(CKR_TOKEN_WRITE_PROTECTED),
    NAME(CKR_UNWRAPPING_KEY_HANDLE_INVALID),
    NAME(CKR_UNWRAPPING_KEY_SIZE_RANGE),
    NAME(CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT),
    NAME(CKR_USER_ALREADY_LOGGED_IN),
    NAME(CKR_USER_NOT_LOGGED_IN),
    NAME(CKR_USER_PIN_NOT_INITIALIZED),
    NAME(CKR_USER_TYPE_INVALID),
    NAME(CKR_USER_ANOTHER_ALREADY_LOGGED_IN),
    NAME(CKR_USER_TOO_MANY_TYPES),
    NAME(CKR_WRAPPED_KEY_INVALID),
    NAME(CKR_WRAPPED_KEY_LEN_RANGE),
    NAME(CKR_WRAPPING_KEY_HANDLE_INVALID),
    NAME(CKR_WRAPPING_KEY_SIZE_RANGE),
    NAME(CKR_WRAPPING_KEY_TYPE_INCONSISTENT),
    NAME(CKR_RANDOM_SEED_NOT_SUPPORTED),
    NAME(CKR_RANDOM_NO_RNG),
    NAME(CKR_DOMAIN_PARAMS_INVALID),
    NAME(CKR_CURVE_NOT_SUPPORTED),
    NAME(CKR_BUFFER_TOO_SMALL),
    NAME(CKR_SAVED_STATE_INVALID),
    NAME(CKR_INFORMATION_SENSITIVE),
    NAME(CKR_STATE_UNSAVEABLE),
    NAME(CKR_CRYPTOKI_NOT_INITIALIZED),
    NAME(CKR_CRYPTOKI_ALREADY_INITIALIZED),
    NAME(CKR_MUTEX_BAD),
    NAME(CKR_MUTEX_NOT_LOCKED),
    NAME(CKR_NEW_PIN_MODE),
    NAME(CKR_NEXT_OTP),
    NAME(CKR_EXCEEDED_MAX_ITERATIONS),
    NAME(CKR_FIPS_SELF_TEST_FAILED),
    NAME(CKR_LIBRARY_LOAD_FAILED),
    NAME(CKR_PIN_TOO_WEAK),
    NAME(CKR_PUBLIC_KEY_INVALID),
    NAME(CKR_FUNCTION_REJECTED),
    {0x42, "CKR_AEAD_DECRYPT_FAILED"},  // of 3.0 and later, not in the header
    {0x202, "CKR_OPERATION_CANCEL_FAILED"},
    {0x201, "CKR_TOKEN_RESOURCE_EXCEEDED"},
    {0x203, "CKR_KEY_EXHAUSTED"},
};
#undef NAME

struct Text {
  ErrorCode code;
  std::string_view message;
  std::string_view hint;
};

Text PinText(CK_RV rv) {
  switch (rv) {
    case CKR_PIN_LOCKED:
      return {ErrorCode::kTokenRefused, "the PIN is locked",
              "The token's security officer must set a new PIN."};
    case CKR_PIN_EXPIRED:
      return {ErrorCode::kTokenRefused, "the PIN has expired", "Set a new PIN with the token's own tools."};
    case CKR_PIN_INCORRECT:
      return {ErrorCode::kTokenRefused, "the token refused the PIN",
              "Put the right PIN into the PIN file. The same PIN is not sent again, so that the token does "
              "not lock."};
    default:
      return {ErrorCode::kTokenRefused, "the token does not accept such a PIN",
              "Compare the PIN with the token's rules for length and characters."};
  }
}

Text TextOf(CK_RV rv) {
  if (IsPinRefusal(rv)) return PinText(rv);
  switch (ClassOf(rv)) {
    case Class::kDevice:
    case Class::kDeviceOrData:
      return {ErrorCode::kTokenUnreachable, "the token cannot be reached",
              "Check that the token and its services run. The next statement tries again."};
    case Class::kSession:
    case Class::kHandle:
    case Class::kLogin:
      return {ErrorCode::kTokenUnreachable, "the token lost the session", "Run the statement again."};
    case Class::kResources:
      return {ErrorCode::kTokenUnreachable, "the token has no free session or memory",
              "Allow more sessions on the token, or use fewer connections."};
    case Class::kPermanent:
      break;
  }
  switch (rv) {
    case CKR_MECHANISM_INVALID:
    case CKR_MECHANISM_PARAM_INVALID:
    case CKR_FUNCTION_NOT_SUPPORTED:
      return {ErrorCode::kTokenRefused, "the token does not support the mechanism",
              "tp_hsm_mechanisms() lists what the token supports."};
    case CKR_KEY_FUNCTION_NOT_PERMITTED:
    case CKR_KEY_TYPE_INCONSISTENT:
      return {ErrorCode::kTokenRefused, "the key may not be used for this", {}};
    case CKR_TOKEN_WRITE_PROTECTED:
    case CKR_SESSION_READ_ONLY:
      return {ErrorCode::kTokenRefused, "the token is write-protected", {}};
    case CKR_SESSION_EXISTS:
      return {ErrorCode::kTokenRefused, "the token is in use",
              "Close the other sessions on the token, then run the statement again."};
    case CKR_USER_ANOTHER_ALREADY_LOGGED_IN:
      return {ErrorCode::kTokenRefused, "another user of the token is logged in", {}};
    case CKR_BUFFER_TOO_SMALL:
    case CKR_ARGUMENTS_BAD:
      return {ErrorCode::kTokenRefused, "the token refused the arguments of the call", {}};
    default:
      return {ErrorCode::kTokenRefused, "the token refused the operation", {}};
  }
}

}  // namespace

std::string RvName(CK_RV rv) {
  char hex[24];
  std::snprintf(hex, sizeof hex, "0x%lX", rv);
  for (const Name& known : kNames)
    if (known.rv == rv) return std::string(known.name) + " (" + hex + ")";
  return hex;
}

Error MakeError(CK_RV rv, const char* function) {
  const Text text = TextOf(rv);
  return Error(text.code, text.message, std::string(function) + ": " + RvName(rv), text.hint)
      .WithTokenCode(rv);
}

void Check(CK_RV rv, const char* function) {
  if (rv != CKR_OK) throw MakeError(rv, function);
}

bool IsPinRefusal(CK_RV rv) {
  return rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE ||
         rv == CKR_PIN_EXPIRED || rv == CKR_PIN_LOCKED;
}

}  // namespace trustpoint::pkcs11
