#include "pkcs11/environment.hpp"

#include <cstdlib>

#include "pkcs11_fixture.hpp"

namespace trustpoint::test {
namespace {

using pkcs11::Environment;

TEST(Environment, SetsAllVariablesAndPutsThemBack) {
  setenv("TP_TEST_OLD", "before", 1);
  unsetenv("TP_TEST_NEW");
  {
    Environment environment(" TP_TEST_OLD = after ;TP_TEST_NEW=a=b c;; ");
    EXPECT_STREQ(getenv("TP_TEST_OLD"), "before") << "only Apply sets";
    environment.Apply();
    EXPECT_STREQ(getenv("TP_TEST_OLD"), "after");
    EXPECT_STREQ(getenv("TP_TEST_NEW"), "a=b c");
    environment.Apply();
  }
  EXPECT_STREQ(getenv("TP_TEST_OLD"), "before");
  EXPECT_EQ(getenv("TP_TEST_NEW"), nullptr);
}

TEST(Environment, AcceptsNothingAndAnEmptyValue) {
  EXPECT_NO_THROW(Environment(""));
  EXPECT_NO_THROW(Environment(" ; "));
  EXPECT_NO_THROW(Environment("TP_TEST_NEW="));
}

TEST(Environment, RefusesWhatIsMalformed) {
  for (const char* bad : {"NAME", "=value", "1NAME=value", "NA-ME=value", "A=1; B", "A B=1"})
    EXPECT_ERROR(kNotConfigured, Environment{bad});
}

}  // namespace
}  // namespace trustpoint::test
