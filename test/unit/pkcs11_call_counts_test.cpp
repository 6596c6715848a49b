#include "pkcs11/call_counts.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "pkcs11/module.hpp"

using namespace trustpoint::pkcs11;

namespace {

CK_RV Succeed(CK_VOID_PTR) { return CKR_OK; }
CK_RV Fail(CK_VOID_PTR) { return CKR_DEVICE_ERROR; }
CK_RV Random(CK_SESSION_HANDLE, CK_BYTE* bytes, CK_ULONG size) {
  std::fill_n(bytes, size, CK_BYTE{7});
  return CKR_OK;
}

CallCount CountOf(const CallCounts& counts, const char* function) {
  for (std::size_t i = 0; i < std::size(kCountedFunctions); ++i)
    if (std::strcmp(kCountedFunctions[i], function) == 0) return counts[i];
  ADD_FAILURE() << function;
  return {};
}

class CallCountsTest : public testing::Test {
 protected:
  CallCountsTest() {
    CallCounts others{};
    TakeCallCounts(&others);
    api_.C_Initialize = Succeed;
    api_.C_Finalize = Fail;
    api_.C_GenerateRandom = Random;
  }
  CK_FUNCTION_LIST api_ = {};
};

TEST_F(CallCountsTest, CountsCallsAndFailures) {
  Module module("counted", &api_);
  EXPECT_EQ(module.api()->C_Initialize(nullptr), CKR_OK);
  EXPECT_EQ(module.api()->C_Initialize(nullptr), CKR_OK);
  EXPECT_EQ(module.api()->C_Finalize(nullptr), CKR_DEVICE_ERROR);
  CallCounts counts{};
  EXPECT_TRUE(TakeCallCounts(&counts));
  EXPECT_EQ(CountOf(counts, "C_Initialize").calls, 2U);
  EXPECT_EQ(CountOf(counts, "C_Initialize").failures, 0U);
  EXPECT_EQ(CountOf(counts, "C_Finalize").calls, 1U);
  EXPECT_EQ(CountOf(counts, "C_Finalize").failures, 1U);
  EXPECT_GT(CountOf(counts, "C_Initialize").nanoseconds, 0U);
  EXPECT_EQ(CountOf(counts, "C_Login").calls, 0U);
}

TEST_F(CallCountsTest, AddsWhatIsNewEachTime) {
  Module module("counted", &api_);
  CallCounts counts{};
  EXPECT_FALSE(TakeCallCounts(&counts));
  EXPECT_EQ(module.api()->C_Initialize(nullptr), CKR_OK);
  EXPECT_TRUE(TakeCallCounts(&counts));
  EXPECT_FALSE(TakeCallCounts(&counts));
  EXPECT_EQ(module.api()->C_Initialize(nullptr), CKR_OK);
  EXPECT_TRUE(TakeCallCounts(&counts));
  EXPECT_EQ(CountOf(counts, "C_Initialize").calls, 2U);
}

TEST_F(CallCountsTest, PassesArgumentsOn) {
  Module module("counted", &api_);
  CK_BYTE bytes[2] = {};
  EXPECT_EQ(module.api()->C_GenerateRandom(1, bytes, 2), CKR_OK);
  EXPECT_EQ(bytes[1], 7);
}

TEST_F(CallCountsTest, CallsTheModuleThatIsAsked) {
  CK_FUNCTION_LIST other_api = api_;
  other_api.C_Initialize = Fail;
  Module module("one", &api_), other("other", &other_api);
  EXPECT_EQ(module.api()->C_Initialize(nullptr), CKR_OK);
  EXPECT_EQ(other.api()->C_Initialize(nullptr), CKR_DEVICE_ERROR);
  EXPECT_EQ(module.api()->C_Initialize(nullptr), CKR_OK);
}

TEST_F(CallCountsTest, LeavesOutWhatAModuleLacks) {
  Module module("counted", &api_);
  EXPECT_EQ(module.api()->C_Login, nullptr);
}

}  // namespace
