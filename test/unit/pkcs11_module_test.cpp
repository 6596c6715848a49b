#include "pkcs11/module.hpp"

#include "pkcs11_fixture.hpp"

namespace trustpoint::test {
namespace {

using pkcs11::Module;

class ModuleTest : public TokenTest {};

TEST_F(ModuleTest, LoadsOnlyAnAbsolutePath) {
  EXPECT_ERROR(kNotConfigured, Module("", ""));
  EXPECT_ERROR(kNotConfigured, Module("libsofthsm2.so", ""));
  EXPECT_ERROR(kNotConfigured, Module("./libsofthsm2.so", ""));
  EXPECT_ERROR(kTokenUnreachable, Module("/nonexistent.so", ""));
  EXPECT_ERROR(kTokenUnreachable, Module("/lib/x86_64-linux-gnu/libm.so.6", ""));  // a library, but no module
  EXPECT_ERROR(kNotConfigured, Module(kSoftHsm, "malformed"));
}

TEST_F(ModuleTest, IsNotInitialisedByLoadingIt) {
  Module module(kSoftHsm, "");
  EXPECT_FALSE(module.initialized());
  module.Initialize({});
  EXPECT_TRUE(module.initialized());
  EXPECT_EQ(module.Info().manufacturer, "SoftHSM");
  EXPECT_EQ(module.Info().cryptoki_version, "2.40");
  module.Finalize();
  EXPECT_FALSE(module.initialized());
}

TEST_F(ModuleTest, HasANewEpochForEveryInitialise) {
  Module first("first", script_->api()), second("second", script_->api());
  first.Initialize({});
  const auto epoch = first.epoch();
  first.Initialize({});
  EXPECT_EQ(first.epoch(), epoch) << "it was initialised already";
  first.Finalize();
  second.Initialize({});
  EXPECT_GT(second.epoch(), epoch) << "another module of the process";
}

TEST_F(ModuleTest, DoesWithoutLocksWhereThereAreNone) {
  Module module("module", script_->api());
  script_->Answer("C_Initialize", CKR_CANT_LOCK);
  module.Initialize({});
  EXPECT_EQ(script_->Calls("C_Initialize"), 2);
  EXPECT_TRUE(module.initialized());
}

TEST_F(ModuleTest, SaysWhyItCouldNotInitialise) {
  Module module("module", script_->api());
  script_->Answer("C_Initialize", CKR_ARGUMENTS_BAD);
  const auto error = ErrorOf([&] { module.Initialize({}); });
  ASSERT_TRUE(error);
  EXPECT_STREQ(error->failure().detail, "C_Initialize: CKR_ARGUMENTS_BAD (0x7)");
  EXPECT_FALSE(module.initialized());
}

}  // namespace
}  // namespace trustpoint::test
