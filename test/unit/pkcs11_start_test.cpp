// Starts that fail, and logins that must not be tried too often.
#include <sys/wait.h>
#include <unistd.h>

#include "pkcs11_fixture.hpp"

namespace trustpoint::test {
namespace {

using pkcs11::Connection;
using pkcs11::Level;
using pkcs11::Session;

class StartTest : public TokenTest {
 protected:
  int Logins() const { return script_->Calls("C_Login"); }
};

TEST_F(StartTest, LooksEightTimesForATokenThatIsNotThere) {
  const auto connection = Connect();
  config_.token = "no such token";
  EXPECT_ERROR(kNotFound, Use(*connection));
  EXPECT_EQ(script_->Calls("C_Initialize"), 8);
  EXPECT_EQ(script_->Calls("C_Finalize"), 8);
  EXPECT_EQ(waits_, 7);
  EXPECT_GE(waited_ms_, 5U * 127);
  EXPECT_LE(waited_ms_, 2 * 5U * 127);
  EXPECT_FALSE(connection->started());
}

TEST_F(StartTest, FindsATokenThatAppearsMeanwhile) {
  const auto connection = Connect();
  HideTokens();
  script_->Before(
      "C_Initialize", [this] { ShowTokens(); }, 4);
  Use(*connection);
  EXPECT_EQ(waits_, 3);
}

TEST_F(StartTest, SaysUnreachableForATokenThatWasThereBefore) {
  const auto connection = Connect();
  Use(*connection);
  connection->module().Finalize();
  HideTokens();
  std::filesystem::create_directory(folder_.path() / "tokens");
  EXPECT_ERROR(kTokenUnreachable, Use(*connection));
  std::filesystem::remove(folder_.path() / "tokens");
  ShowTokens();
  Use(*connection);
}

TEST_F(StartTest, SaysUnreachableWhenTheTokenFolderIsMissing) {
  const auto connection = Connect();
  HideTokens();
  EXPECT_ERROR(kTokenUnreachable, Use(*connection));
  ShowTokens();
  Use(*connection);
}

TEST_F(StartTest, WaitsForATokenThatIsHalfWritten) {
  const auto connection = Connect();
  script_->Answer("C_Initialize", CKR_GENERAL_ERROR);
  script_->Answer("C_OpenSession", CKR_TOKEN_NOT_RECOGNIZED);
  script_->Answer("C_Login", CKR_USER_PIN_NOT_INITIALIZED);
  Use(*connection);
  EXPECT_EQ(waits_, 3);
  EXPECT_EQ(connection->level(), Level::kLogin);
}

TEST_F(StartTest, InitialisesAgainAtOnceWhenTheDeviceFailsInTheMiddle) {
  const auto connection = Connect();
  script_->Answer("C_OpenSession", CKR_DEVICE_ERROR);
  Use(*connection);
  EXPECT_EQ(starts_, 1);
  EXPECT_EQ(script_->Calls("C_Initialize"), 2);
  script_->Answer("C_GenerateRandom", CKR_DEVICE_ERROR);
  script_->Answer("C_OpenSession", CKR_DEVICE_ERROR);
  EXPECT_ERROR(kTokenUnreachable, Use(*connection));
  EXPECT_EQ(starts_, 2) << "once an operation";
  Use(*connection);
}

TEST_F(StartTest, WaitsForAFreeSession) {
  const auto connection = Connect();
  script_->Answer("C_OpenSession", CKR_SESSION_COUNT, 1, 2);
  Use(*connection);
  EXPECT_EQ(waits_, 2);
  EXPECT_EQ(script_->Calls("C_Initialize"), 1);
}

TEST_F(StartTest, ClosesWhatItOpenedWhenItFails) {
  const auto connection = Connect();
  script_->Answer("C_Login", CKR_FUNCTION_NOT_SUPPORTED);
  EXPECT_ERROR(kTokenRefused, Use(*connection));
  EXPECT_EQ(script_->Calls("C_OpenSession"), script_->Calls("C_CloseSession"));
  Use(*connection);
}

TEST_F(StartTest, SendsAWrongPinOnceForAllProcesses) {
  SetPin("wrong-pin");
  for (int i = 0; i < 4; ++i) {
    const auto connection = Connect();
    EXPECT_ERROR(kTokenRefused, Use(*connection));
    EXPECT_ERROR(kTokenRefused, Use(*connection));
    connection->module().Finalize();
  }
  EXPECT_EQ(Logins(), 1);
  SetPin(kPin);
  const auto connection = Connect();
  Use(*connection);
  EXPECT_EQ(Logins(), 2);
}

TEST_F(StartTest, AForkedChildKnowsOfTheWrongPinToo) {
  SetPin("wrong-pin");
  {
    const auto connection = Connect();
    EXPECT_ERROR(kTokenRefused, Use(*connection));
  }
  const pid_t child = fork();
  if (child == 0) {
    const int before = Logins();
    const auto connection = Connect();
    const auto error = ErrorOf([&] { Use(*connection); });
    _exit(error && error->code() == base::ErrorCode::kTokenRefused && Logins() == before ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(StartTest, NeverRetriesAnyRefusalOfAPin) {
  int logins = 0;
  for (const CK_RV rv :
       {CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CKR_PIN_EXPIRED, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE}) {
    memo_->Clear();
    script_->Answer("C_Login", rv);
    const auto connection = Connect();
    EXPECT_ERROR(kTokenRefused, Use(*connection));
    EXPECT_ERROR(kTokenRefused, Use(*connection));
    EXPECT_EQ(Logins(), ++logins);
    connection->module().Finalize();
  }
}

TEST_F(StartTest, SendsAPinTwiceAtMostWhenTheAnswerIsVague) {
  script_->Answer("C_Login", CKR_GENERAL_ERROR, 1, ScriptedToken::kForever);
  const auto connection = Connect();
  EXPECT_ERROR(kTokenRefused, Use(*connection));
  EXPECT_ERROR(kTokenRefused, Use(*connection));
  EXPECT_EQ(Logins(), 2);
  script_->Forget();
  memo_->Clear();
  Use(*connection);
}

TEST_F(StartTest, DoesNotBlameThePinForALostDevice) {
  for (int i = 0; i < 4; ++i) {
    script_->Answer("C_Login", CKR_DEVICE_REMOVED, 1, 2);
    const auto connection = Connect();
    EXPECT_ERROR(kTokenUnreachable, Use(*connection));
    connection->module().Finalize();
  }
  const auto connection = Connect();
  Use(*connection);
}

TEST_F(StartTest, DoesNotLogInAtTheLastTryOrBehindALock) {
  for (const CK_FLAGS flag : {CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED}) {
    script_->EditTokenInfo([flag](CK_TOKEN_INFO& info) { info.flags |= flag; });
    const auto connection = Connect();
    EXPECT_ERROR(kTokenRefused, Use(*connection));
  }
  EXPECT_EQ(Logins(), 0);
}

// The module tells of the lock only when it is initialised anew, which a changed PIN file makes it.
TEST_F(StartTest, DoesNotLogInWhereTheTokenReadAnewIsAtTheLastTryOrLocked) {
  const std::function<void(CK_TOKEN_INFO&)> edits[] = {
      [](CK_TOKEN_INFO& info) { info.flags |= CKF_USER_PIN_FINAL_TRY; },
      [](CK_TOKEN_INFO& info) { info.flags |= CKF_USER_PIN_LOCKED; },
      [](CK_TOKEN_INFO& info) { info.ulMinPinLen = 100; },
  };
  const auto connection = Connect();
  Use(*connection);
  std::string pin = kPin;
  for (const auto& edit : edits) {
    connection->Release();
    SetPin(pin += "\n");  // the same PIN in another file
    script_->Before("C_Initialize", [&] { script_->EditTokenInfo(edit); });
    const auto error = ErrorOf([&] { Use(*connection); });
    EXPECT_TRUE(error);
    EXPECT_EQ(Logins(), 1);
    script_->Forget();
  }
  Use(*connection);
  EXPECT_EQ(Logins(), 2);
}

TEST_F(StartTest, SendsNoPinOfAWrongLength) {
  SetPin("123");
  const auto connection = Connect();
  EXPECT_ERROR(kNotConfigured, Use(*connection));
  EXPECT_EQ(Logins(), 0);
}

TEST_F(StartTest, NeedsNoPinWhereTheTokenNeedsNoLogin) {
  script_->EditTokenInfo(
      [](CK_TOKEN_INFO& info) { info.flags &= ~static_cast<CK_FLAGS>(CKF_LOGIN_REQUIRED); });
  config_.pin_file.clear();
  const auto connection = Connect();
  Use(*connection);
  EXPECT_EQ(Logins(), 0);
}

TEST_F(StartTest, SeesAPinThatWasChangedBehindItsBack) {
  const auto connection = Connect();
  Use(*connection);
  connection->Release();
  const pid_t child = fork();
  if (child == 0) {  // as another process with the tools of SoftHSM
    script_->api()->C_Finalize(nullptr);
    const auto other = Connect();
    CK_RV rv = CKR_GENERAL_ERROR;
    Run(*other, Level::kLogin, [&](Session& session) {
      std::string before = kPin, after = "another-pin";
      rv = session.api()->C_SetPIN(session.handle(), reinterpret_cast<CK_UTF8CHAR*>(before.data()),
                                   before.size(), reinterpret_cast<CK_UTF8CHAR*>(after.data()), after.size());
    });
    _exit(rv == CKR_OK ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  SetPin("another-pin");
  Use(*connection);
  EXPECT_EQ(script_->Calls("C_Login"), 2) << "and not one refused";
}

TEST_F(StartTest, AChildOfAForkStartsForItself) {
  const auto connection = Connect();
  Use(*connection);
  const auto epoch = connection->epoch();
  const pid_t child = fork();
  if (child == 0) {
    const int closed = script_->Calls("C_CloseSession");
    bool good = !connection->started();
    starts_ = 0;
    Use(*connection);
    good = good && starts_ == 1 && connection->epoch() > epoch && !connection->module().foreign() &&
           script_->Calls("C_CloseSession") == closed;  // the parent's sessions are not the child's to close
    _exit(good ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  Use(*connection);
  EXPECT_EQ(starts_, 1) << "the parent goes on";
}

TEST_F(StartTest, NoMessageHoldsThePin) {
  SetPin("wrong-pin");
  const auto connection = Connect();
  for (int i = 0; i < 2; ++i) {
    const auto error = ErrorOf([&] { Use(*connection); });
    ASSERT_TRUE(error);
    for (const char* text : {error->failure().message, error->failure().detail, error->failure().hint})
      EXPECT_EQ(std::string(text).find("wrong-pin"), std::string::npos);
  }
}

}  // namespace
}  // namespace trustpoint::test
