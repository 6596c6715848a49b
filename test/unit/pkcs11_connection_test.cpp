#include "pkcs11_fixture.hpp"

namespace trustpoint::test {
namespace {

using pkcs11::Connection;
using pkcs11::Level;
using pkcs11::Session;

class ConnectionTest : public TokenTest {};

TEST_F(ConnectionTest, AsksForAStartBeforeItsFirstOperation) {
  const auto connection = Connect();
  connection->Configure(config_);
  connection->BeginOperation();
  EXPECT_FALSE(connection->started());
  EXPECT_ERROR(kNeedStart, connection->Run(Level::kLogin, [](Session&) {}));
}

TEST_F(ConnectionTest, StartsOnceAndThenServesFromOneSession) {
  const auto connection = Connect();
  for (int i = 0; i < 5; ++i) Use(*connection);
  EXPECT_EQ(starts_, 1);
  EXPECT_EQ(script_->Calls("C_Login"), 1);
  EXPECT_EQ(script_->Calls("C_OpenSession"), 2);  // the anchor, the work session
  EXPECT_EQ(connection->level(), Level::kLogin);
  EXPECT_EQ(connection->token().label, kLabel);
}

TEST_F(ConnectionTest, ReleaseLogsOutAndTheNextOperationStartsAgain) {
  const auto connection = Connect();
  Use(*connection);
  const auto epoch = connection->epoch();
  connection->Release();
  EXPECT_GT(connection->epoch(), epoch) << "handles of private objects die with the login";
  EXPECT_EQ(script_->Calls("C_Logout"), 1);
  EXPECT_TRUE(connection->started());
  EXPECT_EQ(connection->level(), Level::kModule);
  Use(*connection);
  EXPECT_EQ(starts_, 2);
  EXPECT_EQ(script_->Calls("C_Initialize"), 1) << "the module stays";
}

TEST_F(ConnectionTest, ReachesOnlyTheLevelThatIsAskedFor) {
  const auto connection = Connect();
  Run(*connection, Level::kModule, [](Session& session) { pkcs11::ListSlots(session.module()); });
  EXPECT_EQ(script_->Calls("C_OpenSession"), 0);
  Use(*connection, Level::kToken);
  EXPECT_EQ(script_->Calls("C_Login"), 0);
  Use(*connection, Level::kLogin);
  EXPECT_EQ(starts_, 3);
}

TEST_F(ConnectionTest, DropsAWorkSessionAfterAnyFailure) {
  const auto connection = Connect();
  Use(*connection);
  const int opened = script_->Calls("C_OpenSession");
  EXPECT_THROW(Run(*connection, Level::kLogin, [](Session&) { throw std::bad_alloc(); }), std::bad_alloc);
  Use(*connection);
  EXPECT_EQ(script_->Calls("C_OpenSession"), opened + 1);
  EXPECT_EQ(starts_, 1);
}

TEST_F(ConnectionTest, RefusesAnOperationInsideAnother) {
  const auto connection = Connect();
  Use(*connection);
  EXPECT_ERROR(kInternal, connection->Run(Level::kLogin, [&](Session&) {
    connection->Run(Level::kLogin, [](Session&) {});
  }));
}

TEST_F(ConnectionTest, AChangedConfigurationTakesEffectAtTheNextOperation) {
  CreateToken("second token");
  const auto connection = Connect();
  Use(*connection);
  const auto epoch = connection->epoch();
  config_.token = "second token";
  Use(*connection);
  EXPECT_EQ(connection->token().label, "second token");
  EXPECT_GT(connection->epoch(), epoch);
  EXPECT_EQ(starts_, 2);
}

TEST_F(ConnectionTest, LeavesSessionsAndModuleAloneWhenItDies) {
  auto connection = Connect();
  Use(*connection);
  const int closed = script_->Calls("C_CloseSession"), finalized = script_->Calls("C_Finalize");
  connection.reset();
  EXPECT_EQ(script_->Calls("C_CloseSession"), closed);
  EXPECT_EQ(script_->Calls("C_Finalize"), finalized);
}

TEST_F(ConnectionTest, UsesAModuleThatSomebodyElseInitialisedAndNeverEndsIt) {
  ASSERT_EQ(script_->api()->C_Initialize(nullptr), CKR_OK);
  const int finalized = script_->Calls("C_Finalize");
  const auto connection = Connect();
  Use(*connection);
  EXPECT_TRUE(connection->module().foreign());
  connection->Release();
  connection->module().Finalize();
  EXPECT_EQ(script_->Calls("C_Finalize"), finalized);
  EXPECT_EQ(script_->Calls("C_Logout"), 0) << "the login may serve the other user";
}

TEST_F(ConnectionTest, ALoginThatIsThereAlreadyIsALogin) {
  const auto first = Connect(), second = Connect();
  Use(*first);
  Use(*second);
  EXPECT_EQ(second->level(), Level::kLogin);
}

TEST_F(ConnectionTest, SetsTheEnvironmentAgainBeforeEveryInitialise) {
  const std::string conf = getenv("SOFTHSM2_CONF");
  unsetenv("SOFTHSM2_CONF");
  config_.environment = "SOFTHSM2_CONF=" + conf;
  Connection connection(memo_.get());
  Use(connection);
  EXPECT_EQ(connection.token().label, kLabel);
  connection.module().Finalize();
  unsetenv("SOFTHSM2_CONF");
  Use(connection);

  Folder other;
  std::filesystem::create_directory(other.path() / "tokens");
  config_.environment =
      "SOFTHSM2_CONF=" + other.Write("conf", "directories.tokendir = " + other.File("tokens") + "\n");
  EXPECT_ERROR(kNotFound, Use(connection));
  config_.environment.clear();
  connection.Configure(config_);
  connection.BeginOperation();
  EXPECT_ERROR(kBusy, connection.Start(Level::kToken));
  EXPECT_EQ(getenv("SOFTHSM2_CONF"), nullptr) << "put back as it was";
}

}  // namespace
}  // namespace trustpoint::test
