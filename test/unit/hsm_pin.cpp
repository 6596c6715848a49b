// The PIN changed from SQL, and the session shown.
#include "unit/hsm_fixture.hpp"

namespace trustpoint::test {
namespace {

using pkcs11::Connection;

class ChangingThePin : public HsmTest {
 protected:
  ChangingThePin() { Use(*connection_); }
  void Change(std::string_view pin) {
    const pkcs11::Pin next = MakePin(pin, 99);
    OnToken([&](Session& session) { connection_->ChangePin(session, next, "the file of the new PIN"); });
  }
  int Logins() const { return script_->Calls("C_Login"); }
};

TEST_F(ChangingThePin, TheNewOneOpensAndTheOldOneIsNotSent) {
  Change("new-pin");
  Use(*connection_);
  connection_->Release();
  const int logins = Logins();
  EXPECT_ERROR(kTokenRefused, Use(*connection_));  // the file still holds the old one
  EXPECT_EQ(Logins(), logins) << "nobody sends what is known to be wrong";
  auto other = Connect();
  EXPECT_ERROR(kTokenRefused, Use(*other));
  EXPECT_EQ(Logins(), logins);
  SetPin("new-pin");
  Use(*other);
  Use(*connection_);
  Change("third-pin");
  SetPin("third-pin");
  connection_->Release();
  Use(*connection_);
}

TEST_F(ChangingThePin, RefusesAPinThatTheTokenWouldNotTake) {
  EXPECT_ERROR(kNotConfigured, Change("abc"));
  EXPECT_ERROR(kNotConfigured, Change(std::string(256, 'x')));
  EXPECT_ERROR(kNotConfigured, Change(kPin));
  EXPECT_EQ(script_->Calls("C_SetPIN"), 0);
  connection_->Release();
  Use(*connection_);
}

TEST_F(ChangingThePin, AWrongOldPinIsSentOnce) {
  SetPin("wrong-pin");
  EXPECT_ERROR(kTokenRefused, Change("new-pin"));
  EXPECT_ERROR(kTokenRefused, Change("new-pin"));
  EXPECT_EQ(script_->Calls("C_SetPIN"), 1);
  SetPin(kPin);
  Change("new-pin");
  SetPin("new-pin");
  connection_->Release();
  Use(*connection_);
}

TEST_F(ChangingThePin, ARefusalOfTheNewPinLeavesTheOldOneGood) {
  for (const CK_RV rv : {CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_TOKEN_WRITE_PROTECTED}) {
    script_->Answer("C_SetPIN", rv);
    EXPECT_ERROR(kTokenRefused, Change("new-pin"));
    connection_->Release();
    Use(*connection_);
  }
}

TEST_F(ChangingThePin, IsNeverTriedTwice) {
  for (const CK_RV rv : {CKR_SESSION_CLOSED, CKR_DEVICE_ERROR, CKR_USER_NOT_LOGGED_IN}) {
    const int calls = script_->Calls("C_SetPIN");
    script_->Answer("C_SetPIN", rv);
    EXPECT_TRUE(ErrorOf([&] { Change("new-pin"); }));
    EXPECT_EQ(script_->Calls("C_SetPIN"), calls + 1);
    Use(*connection_);
  }
}

TEST_F(ChangingThePin, IsRefusedWhenOneMoreTryWouldLock) {
  script_->EditTokenInfo([](CK_TOKEN_INFO& info) { info.flags |= CKF_USER_PIN_FINAL_TRY; });
  EXPECT_ERROR(kTokenRefused, Change("new-pin"));
  EXPECT_EQ(script_->Calls("C_SetPIN"), 0);
}

TEST_F(ChangingThePin, TheSessionIsShown) {
  auto state = connection_->SessionState();
  ASSERT_TRUE(state);
  EXPECT_EQ(state->state, CKS_RW_USER_FUNCTIONS);
  connection_->Release();
  EXPECT_FALSE(connection_->SessionState());
  EXPECT_FALSE(Connect()->SessionState());
}

}  // namespace
}  // namespace trustpoint::test
