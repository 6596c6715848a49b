// The table of the recovery policy, row by row.
#include "pkcs11/retry.hpp"

#include <gtest/gtest.h>

#include "pkcs11/rv.hpp"

namespace trustpoint::pkcs11 {
namespace {

void ExpectAll(std::initializer_list<CK_RV> codes, Recovery recovery, const char* function = "C_Sign") {
  for (const CK_RV rv : codes) EXPECT_EQ(RecoveryFor(rv, function), recovery) << RvName(rv);
}

TEST(RetryTable, ALostOrStuckSessionIsReopened) {
  ExpectAll(
      {CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED, CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED},
      Recovery::kReopen);
}

TEST(RetryTable, AStaleHandleIsFoundAgain) {
  ExpectAll({CKR_OBJECT_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID, CKR_WRAPPING_KEY_HANDLE_INVALID,
             CKR_UNWRAPPING_KEY_HANDLE_INVALID},
            Recovery::kRefind);
}

TEST(RetryTable, ALostLoginIsMadeAgain) { ExpectAll({CKR_USER_NOT_LOGGED_IN}, Recovery::kLogin); }

TEST(RetryTable, ALostDeviceIsInitialisedAgain) {
  ExpectAll({CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_TOKEN_NOT_PRESENT, CKR_TOKEN_NOT_RECOGNIZED,
             CKR_SLOT_ID_INVALID, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_FUNCTION_FAILED, CKR_GENERAL_ERROR,
             CKR_VENDOR_DEFINED | 7},
            Recovery::kReinitialize);
}

TEST(RetryTable, AVagueAnswerAboutDataIsLeftToTheTokenToExplain) {
  for (const char* function : {"C_Decrypt", "C_UnwrapKey", "C_Verify"})
    ExpectAll({CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED}, Recovery::kAskToken, function);
  ExpectAll({CKR_OK}, Recovery::kAskToken);  // an object was not found
}

TEST(RetryTable, WantOfSessionsAndMemoryIsWaitedFor) {
  ExpectAll({CKR_SESSION_COUNT, CKR_DEVICE_MEMORY, CKR_HOST_MEMORY}, Recovery::kWait);
}

TEST(RetryTable, RefusalsArePermanent) {
  ExpectAll({CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CKR_PIN_EXPIRED, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE,
             CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED,
             CKR_KEY_TYPE_INCONSISTENT, CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCOMPLETE, CKR_DATA_LEN_RANGE,
             CKR_ENCRYPTED_DATA_INVALID, CKR_SIGNATURE_INVALID, CKR_TOKEN_WRITE_PROTECTED},
            Recovery::kNone);
}

TEST(RvNames, ShowNameAndHexadecimalCode) {
  EXPECT_EQ(RvName(CKR_PIN_INCORRECT), "CKR_PIN_INCORRECT (0xA0)");
  EXPECT_EQ(RvName(0x42), "CKR_AEAD_DECRYPT_FAILED (0x42)");
  EXPECT_EQ(RvName(0x80000123), "0x80000123");
}

TEST(RvErrors, CarryFunctionNameAndCodeOfTheirClass) {
  const base::Error refused = MakeError(CKR_PIN_INCORRECT, "C_Login");
  EXPECT_EQ(refused.code(), base::ErrorCode::kTokenRefused);
  EXPECT_STREQ(refused.failure().detail, "C_Login: CKR_PIN_INCORRECT (0xA0)");
  EXPECT_STRNE(refused.failure().hint, "");
  EXPECT_EQ(refused.token_code(), CKR_PIN_INCORRECT);
  EXPECT_EQ(MakeError(CKR_DEVICE_REMOVED, "C_Sign").code(), base::ErrorCode::kTokenUnreachable);
  EXPECT_EQ(MakeError(CKR_MECHANISM_INVALID, "C_SignInit").code(), base::ErrorCode::kTokenRefused);
  EXPECT_NO_THROW(Check(CKR_OK, "C_Sign"));
}

}  // namespace
}  // namespace trustpoint::pkcs11
