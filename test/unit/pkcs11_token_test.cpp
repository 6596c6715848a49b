#include "pkcs11/token.hpp"

#include "pkcs11_fixture.hpp"

namespace trustpoint::test {
namespace {

using pkcs11::SelectToken;
using pkcs11::TokenInfo;

class TokenSelectionTest : public TokenTest {
 protected:
  pkcs11::Module& Module() {
    if (!module_) module_ = std::make_unique<pkcs11::Module>(kSoftHsm, script_->api());
    module_->Initialize({});
    return *module_;
  }
  std::unique_ptr<pkcs11::Module> module_;
};

TEST_F(TokenSelectionTest, FindsALabelWithoutItsPadding) {
  const TokenInfo token = SelectToken(Module(), kLabel);
  EXPECT_EQ(token.label, kLabel);
  EXPECT_EQ(token.manufacturer, "SoftHSM project");
  EXPECT_EQ(token.serial.size(), 16U);
  EXPECT_TRUE(token.initialized());
  EXPECT_EQ(token.min_pin, 4U);
  EXPECT_EQ(token.max_pin, 255U);
}

TEST_F(TokenSelectionTest, TakesALabelWholeNotItsBeginning) {
  EXPECT_ERROR(kNotFound, SelectToken(Module(), "first"));
  EXPECT_ERROR(kNotFound, SelectToken(Module(), "first token "));
}

TEST_F(TokenSelectionTest, FindsALabelOf32Bytes) {
  const std::string label(32, 'x');
  CreateToken(label);
  EXPECT_EQ(SelectToken(Module(), label).label, label);
}

TEST_F(TokenSelectionTest, FindsByUriAndSerial) {
  const std::string serial = SelectToken(Module(), kLabel).serial;
  EXPECT_EQ(SelectToken(Module(), "pkcs11:token=first%20token;serial=" + serial).serial, serial);
  EXPECT_EQ(SelectToken(Module(), "pkcs11:model=SoftHSM%20v2").serial, serial);
  EXPECT_ERROR(kNotFound, SelectToken(Module(), "pkcs11:token=first%20token;serial=0000"));
  EXPECT_ERROR(kInvalidArgument, SelectToken(Module(), "pkcs11:token=first%20token?pin-value=1"));
}

TEST_F(TokenSelectionTest, TakesTheOnlyInitialisedTokenWhenNoneIsNamed) {
  EXPECT_EQ(SelectToken(Module(), "").label, kLabel);
  CreateToken("second");
  module_.reset();
  EXPECT_ERROR(kExists, SelectToken(Module(), ""));
}

TEST_F(TokenSelectionTest, RefusesToChooseBetweenTwoOfOneLabel) {
  CreateToken(kLabel);
  EXPECT_ERROR(kExists, SelectToken(Module(), kLabel));
}

TEST_F(TokenSelectionTest, ToleratesBrokenTokensInOtherSlots) {
  CreateToken("second");
  Module();
  const auto slots = pkcs11::ListSlots(*module_);
  ASSERT_EQ(slots.size(), 3U);
  const std::string other = slots[1].label;
  ASSERT_NE(slots[0].label, other);
  script_->Answer("C_GetTokenInfo", CKR_TOKEN_NOT_PRESENT);  // for the first slot
  EXPECT_EQ(SelectToken(*module_, other).label, other);
}

TEST_F(TokenSelectionTest, SaysUnreachableWhenTheTokenMayBeInAnUnreadableSlot) {
  Module();
  script_->Answer("C_GetTokenInfo", CKR_DEVICE_ERROR, 1, ScriptedToken::kForever);
  EXPECT_ERROR(kTokenUnreachable, SelectToken(*module_, kLabel));
}

TEST_F(TokenSelectionTest, ListsMechanismsByName) {
  const TokenInfo token = SelectToken(Module(), kLabel);
  bool found = false;
  for (const auto& mechanism : pkcs11::ListMechanisms(*module_, token.slot)) {
    EXPECT_EQ(mechanism.name.substr(0, 4), "CKM_") << mechanism.name;
    found = found || (mechanism.name == "CKM_AES_GCM" && mechanism.max_key_size == 32);
  }
  EXPECT_TRUE(found);
  EXPECT_TRUE(pkcs11::HasMechanism(*module_, token.slot, CKM_AES_ECB, CKF_ENCRYPT | CKF_DECRYPT));
  EXPECT_FALSE(pkcs11::HasMechanism(*module_, token.slot, CKM_AES_ECB, CKF_SIGN));
  EXPECT_FALSE(pkcs11::HasMechanism(*module_, token.slot, 0x80001234, 0));
}

TEST_F(TokenSelectionTest, TakesNoMoreThanItHasRoomFor) {
  (void)Module();
  script_->EditCount([](CK_ULONG& count) { count += 1000; });
  EXPECT_LE(pkcs11::ListSlots(Module()).size(), 2U + 16);
  EXPECT_LT(pkcs11::ListMechanisms(Module(), SelectToken(Module(), "").slot).size(), 1000U);
}

TEST_F(TokenSelectionTest, InitialisesAnInitialisedTokenOnlyByForce) {
  const TokenInfo before = SelectToken(Module(), kLabel);
  const auto init = [&](const std::string& label, bool force) {
    return pkcs11::InitToken(*module_, before.slot, label, MakePin(kSoPin), MakePin("new-pin"), force);
  };
  EXPECT_ERROR(kExists, init("new", false));
  EXPECT_ERROR(kInvalidArgument, init("", true));
  EXPECT_ERROR(kInvalidArgument, init(std::string(33, 'x'), true));
  const TokenInfo after = init("new", true);
  EXPECT_EQ(after.label, "new");
  EXPECT_TRUE(after.flags & CKF_USER_PIN_INITIALIZED);
}

TEST_F(TokenSelectionTest, InitialisesNothingWithAPinOfWrongLengthOrALockedSoPin) {
  const TokenInfo before = SelectToken(Module(), kLabel);
  EXPECT_ERROR(kNotConfigured,
               pkcs11::InitToken(*module_, before.slot, "new", MakePin("123"), MakePin(kPin), true));
  EXPECT_ERROR(kNotConfigured,
               pkcs11::InitToken(*module_, before.slot, "new", MakePin(kSoPin), MakePin("123"), true));
  script_->EditTokenInfo([](CK_TOKEN_INFO& info) { info.flags |= CKF_SO_PIN_FINAL_TRY; });
  EXPECT_ERROR(kTokenRefused,
               pkcs11::InitToken(*module_, before.slot, "new", MakePin(kSoPin), MakePin(kPin), true));
  EXPECT_EQ(script_->Calls("C_InitToken"), 0);
}

TEST_F(TokenSelectionTest, ClosesItsSessionWhenInitialisationFails) {
  const TokenInfo before = SelectToken(Module(), kLabel);
  script_->Answer("C_InitPIN", CKR_PIN_INVALID);
  EXPECT_ERROR(kTokenRefused,
               pkcs11::InitToken(*module_, before.slot, "new", MakePin(kSoPin), MakePin(kPin), true));
  EXPECT_EQ(script_->Calls("C_OpenSession"), script_->Calls("C_CloseSession"));
  EXPECT_EQ(script_->Calls("C_Logout"), 1);
}

}  // namespace
}  // namespace trustpoint::test
