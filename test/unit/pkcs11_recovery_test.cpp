// How Connection carries out the recovery policy.
#include "pkcs11_fixture.hpp"

namespace trustpoint::test {
namespace {

using pkcs11::Connection;
using pkcs11::Level;
using pkcs11::Session;

class RecoveryTest : public TokenTest {
 protected:
  RecoveryTest() : connection_(Connect()) {
    Use(*connection_);
    starts_ = 0;
  }
  // One operation of one call, counted.
  void Operate(bool send = false) {
    Run(*connection_, Level::kLogin, [&](Session& session) {
      ++runs_;
      if (send) session.MarkSent();
      CK_BYTE random[8];
      session.Check(session.api()->C_GenerateRandom(session.handle(), random, sizeof random),
                    "C_GenerateRandom");
    });
  }
  int Opened() const { return script_->Calls("C_OpenSession"); }

  std::unique_ptr<Connection> connection_;
  int runs_ = 0;
};

TEST_F(RecoveryTest, ReopensALostSessionAndRunsOnceMore) {
  for (const CK_RV rv : {CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED, CKR_OPERATION_ACTIVE}) {
    const int opened = Opened();
    runs_ = 0;
    script_->Answer("C_GenerateRandom", rv);
    Operate();
    EXPECT_EQ(runs_, 2);
    EXPECT_EQ(Opened(), opened + 1);
  }
  EXPECT_EQ(starts_, 0);
}

TEST_F(RecoveryTest, ReopensOnlyOnceAnOperation) {
  script_->Answer("C_GenerateRandom", CKR_SESSION_CLOSED, 1, 2);
  EXPECT_ERROR(kTokenUnreachable, Operate());
  EXPECT_EQ(runs_, 2);
  Operate();  // the next one has a budget of its own
  EXPECT_EQ(starts_, 0);
}

TEST_F(RecoveryTest, SurvivesASessionThatIsReallyGone) {
  connection_->Run(Level::kLogin,
                   [&](Session& session) { script_->api()->C_CloseSession(session.handle()); });
  Operate();
  EXPECT_EQ(runs_, 2);
  EXPECT_EQ(starts_, 0);
}

TEST_F(RecoveryTest, LogsInAgainWhenAllSessionsAreGone) {
  script_->api()->C_CloseAllSessions(connection_->token().slot);  // as an HSM that restarts does
  Operate();
  EXPECT_EQ(starts_, 1);
  EXPECT_EQ(script_->Calls("C_Login"), 2);
  EXPECT_EQ(script_->Calls("C_Initialize"), 1);
}

TEST_F(RecoveryTest, AStaleHandleGivesANewEpochAndOneMoreRun) {
  const auto epoch = connection_->epoch();
  script_->Answer("C_GenerateRandom", CKR_KEY_HANDLE_INVALID);
  Operate();
  EXPECT_EQ(runs_, 2);
  EXPECT_GT(connection_->epoch(), epoch);
  EXPECT_EQ(starts_, 0);
}

TEST_F(RecoveryTest, AHandleThatStaysInvalidIsReportedWhenTheTokenIsThere) {
  script_->Answer("C_GenerateRandom", CKR_OBJECT_HANDLE_INVALID, 1, 2);
  EXPECT_ERROR(kTokenUnreachable, Operate());
  EXPECT_EQ(runs_, 2);
  EXPECT_EQ(starts_, 0);
}

TEST_F(RecoveryTest, AHandleThatStaysInvalidMeansANewStartWhenTheTokenIsGone) {
  script_->Answer("C_GenerateRandom", CKR_OBJECT_HANDLE_INVALID, 1, 2);
  script_->Answer("C_GetTokenInfo", CKR_GENERAL_ERROR, 1, 3);
  Operate();
  EXPECT_EQ(runs_, 3);
  EXPECT_EQ(script_->Calls("C_Initialize"), 2);
}

TEST_F(RecoveryTest, LogsInAgainOnce) {
  script_->Answer("C_GenerateRandom", CKR_USER_NOT_LOGGED_IN);
  Operate();
  EXPECT_EQ(starts_, 1);
  EXPECT_EQ(script_->Calls("C_Login"), 2);
  EXPECT_EQ(script_->Calls("C_Initialize"), 1);
  script_->Answer("C_GenerateRandom", CKR_USER_NOT_LOGGED_IN, 1, 2);
  EXPECT_ERROR(kTokenUnreachable, Operate());
  EXPECT_EQ(starts_, 2);
}

TEST_F(RecoveryTest, NoticesALogoutBehindItsBackBeforeItMissesPrivateKeys) {
  connection_->Run(Level::kLogin, [&](Session& session) { script_->api()->C_Logout(session.handle()); });
  pkcs11::Template nothing;
  nothing.Add(CKA_LABEL, "no such label");
  int runs = 0;
  EXPECT_ERROR(kNotFound, Run(*connection_, Level::kLogin, [&](Session& session) {
                 ++runs;
                 pkcs11::FindOne(session, nothing, "key");
               }));
  EXPECT_EQ(runs, 2) << "looked again after a new login";
  EXPECT_EQ(starts_, 1);
}

TEST_F(RecoveryTest, InitialisesALostDeviceAgainOnce) {
  int initialized = 1;
  for (const CK_RV rv : {CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED, CKR_TOKEN_NOT_PRESENT,
                         CKR_CRYPTOKI_NOT_INITIALIZED, CKR_FUNCTION_FAILED, CKR_VENDOR_DEFINED | 1UL}) {
    const auto epoch = connection_->epoch();
    runs_ = 0;
    script_->Answer("C_GenerateRandom", rv);
    Operate();
    EXPECT_EQ(runs_, 2);
    EXPECT_EQ(script_->Calls("C_Initialize"), ++initialized);
    EXPECT_GT(connection_->epoch(), epoch);
  }
}

TEST_F(RecoveryTest, ReportsADeviceThatStaysLost) {
  script_->Answer("C_GenerateRandom", CKR_DEVICE_REMOVED, 1, ScriptedToken::kForever);
  EXPECT_ERROR(kTokenUnreachable, Operate());
  EXPECT_EQ(runs_, 2);
  EXPECT_EQ(script_->Calls("C_Initialize"), 2);
  script_->Forget();
  Operate();
  EXPECT_EQ(script_->Calls("C_Initialize"), 3) << "the next operation starts anew";
}

TEST_F(RecoveryTest, NeverRunsASentOperationAgain) {
  for (const CK_RV rv : {CKR_SESSION_CLOSED, CKR_KEY_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN, CKR_DEVICE_ERROR,
                         CKR_GENERAL_ERROR, CKR_SESSION_COUNT}) {
    runs_ = 0;
    script_->Answer("C_GenerateRandom", rv);
    const auto error = ErrorOf([&] { Operate(true); });
    ASSERT_TRUE(error);
    EXPECT_EQ(error->token_code(), rv);
    EXPECT_EQ(runs_, 1);
    Operate();  // and what was lost is mended for the next one
  }
}

TEST_F(RecoveryTest, WaitsForASessionUpToOneSecondInAll) {
  script_->Answer("C_GenerateRandom", CKR_SESSION_COUNT, 1, 3);
  Operate();
  EXPECT_EQ(runs_, 4);
  EXPECT_EQ(waits_, 3);
  script_->Answer("C_GenerateRandom", CKR_DEVICE_MEMORY, 1, ScriptedToken::kForever);
  waited_ms_ = 0;
  EXPECT_ERROR(kTokenUnreachable, Operate());
  EXPECT_EQ(waited_ms_, 1000U);
}

TEST_F(RecoveryTest, WaitsAlsoWhenTheSessionItselfCannotBeOpened) {
  script_->Answer("C_GenerateRandom", CKR_SESSION_CLOSED);
  script_->Answer("C_OpenSession", CKR_SESSION_COUNT, 1, 2);
  Operate();
  EXPECT_EQ(waits_, 2);
  EXPECT_EQ(starts_, 0);
}

TEST_F(RecoveryTest, AsksTheTokenWhetherAVagueAnswerMeansTheData) {
  const auto decrypt = [&] {
    Run(*connection_, Level::kLogin, [&](Session& session) {
      ++runs_;
      session.Check(runs_ == 1 ? CKR_GENERAL_ERROR : CKR_OK, "C_Decrypt");
    });
  };
  EXPECT_ERROR(kTokenRefused, decrypt());
  EXPECT_EQ(runs_, 1) << "the token answers: the data is bad";
  runs_ = 0;
  script_->Answer("C_GetTokenInfo", CKR_DEVICE_ERROR, 1, 2);
  EXPECT_ERROR(kTokenRefused, decrypt());  // the third try counts
  runs_ = 0;
  script_->Answer("C_GetTokenInfo", CKR_DEVICE_ERROR, 1, 3);
  decrypt();
  EXPECT_EQ(runs_, 2);
  EXPECT_EQ(script_->Calls("C_Initialize"), 2);
}

TEST_F(RecoveryTest, ReportsARefusalAtOnceAndInANewSession) {
  const int opened = Opened();
  script_->Answer("C_GenerateRandom", CKR_MECHANISM_INVALID);
  EXPECT_ERROR(kTokenRefused, Operate());
  EXPECT_EQ(runs_, 1);
  Operate();
  EXPECT_EQ(Opened(), opened + 1);
}

TEST_F(RecoveryTest, LeavesErrorsThatAreNotTheTokensAlone) {
  EXPECT_ERROR(kWrongKek, Run(*connection_, Level::kLogin, [&](Session&) {
                 ++runs_;
                 throw base::Error(base::ErrorCode::kWrongKek, "not the KEK");
               }));
  EXPECT_EQ(runs_, 1);
  EXPECT_EQ(starts_, 0);
}

TEST_F(RecoveryTest, GetsWellByItselfWhenTheTokenIsTakenAwayAndBroughtBack) {
  pkcs11::Template key;
  key.Add(CKA_LABEL, "some key");
  const auto find = [&] {
    Run(*connection_, Level::kLogin, [&](Session& session) { pkcs11::Find(session, key, 2); });
  };
  find();
  for (int i = 0; i < 2; ++i) {
    HideTokens();
    EXPECT_ERROR(kTokenUnreachable, find());
    EXPECT_ERROR(kTokenUnreachable, find());
    ShowTokens();
    find();
  }
}

}  // namespace
}  // namespace trustpoint::test
