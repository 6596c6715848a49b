#include <sys/stat.h>

#include <fstream>

#include "pkcs11_fixture.hpp"

namespace trustpoint::test {
namespace {

using pkcs11::Pin;
using pkcs11::PinMemo;

constexpr const char* kModule = "/module.so";
constexpr const char* kSerial = "serial 1";

class PinMemoTest : public ::testing::Test {
 protected:
  // Each stands for a process of its own.
  PinMemo Memo(std::uint64_t server_start = 1) {
    return PinMemo(folder_.File("memo"), server_start, FakePrimitives());
  }
  void Refuse(const Pin& pin, const char* serial = kSerial) {
    PinMemo memo = Memo();
    memo.Begin(kModule, serial, pin);
    memo.Refused(CKR_PIN_LOCKED);
  }
  bool Allows(const Pin& pin, const char* serial = kSerial, std::uint64_t server_start = 1) {
    PinMemo memo = Memo(server_start);
    const auto error = ErrorOf([&] { memo.Check(kModule, serial, pin); });
    EXPECT_EQ(error.value_or(base::Error(base::ErrorCode::kTokenRefused, "")).code(),
              base::ErrorCode::kTokenRefused);
    return !error;
  }
  std::string Bytes() const {
    std::ifstream file(folder_.File("memo"), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  Folder folder_;
};

TEST_F(PinMemoTest, AllowsAnyPinAtFirst) { EXPECT_TRUE(Allows(MakePin("1111"))); }

TEST_F(PinMemoTest, RefusesARefusedPinUntilItDiffers) {
  Refuse(MakePin("1111"));
  EXPECT_FALSE(Allows(MakePin("1111")));
  EXPECT_TRUE(Allows(MakePin("2222", 2)));
}

TEST_F(PinMemoTest, RepeatsTheAnswerOfTheToken) {
  Refuse(MakePin("1111"));
  const auto error = ErrorOf([&] { Memo().Check(kModule, kSerial, MakePin("1111")); });
  ASSERT_TRUE(error);
  EXPECT_STREQ(error->failure().detail, "C_Login: CKR_PIN_LOCKED (0xA4), token serial serial 1.");
}

TEST_F(PinMemoTest, RefusesTheSamePinInANewFile) {
  Refuse(MakePin("1111", 1));
  EXPECT_FALSE(Allows(MakePin("1111", 2)));
}

TEST_F(PinMemoTest, RefusesTheUnchangedFileWhateverItHolds) {
  Refuse(MakePin("1111", 1));
  EXPECT_FALSE(Allows(MakePin("2222", 1)));
}

TEST_F(PinMemoTest, KnowsOneTokenFromAnother) {
  Refuse(MakePin("1111"), "serial 1");
  EXPECT_TRUE(Allows(MakePin("1111"), "serial 2"));
  Refuse(MakePin("1111"), "serial 2");
  EXPECT_FALSE(Allows(MakePin("1111"), "serial 1")) << "a second refusal does not push out the first";
}

TEST_F(PinMemoTest, ForgetsOnlyWhenManyMoreTokensRefuse) {
  Refuse(MakePin("1111"), "serial 1");
  for (int i = 0; i < 7; ++i) Refuse(MakePin("1111"), std::to_string(i).c_str());
  EXPECT_FALSE(Allows(MakePin("1111"), "serial 1"));
  PinMemo trying = Memo();
  trying.Begin(kModule, "other", MakePin("1111"));
  trying.Succeeded();
  EXPECT_TRUE(Allows(MakePin("1111"), "serial 1")) << "the ninth token takes the oldest place";
}

TEST_F(PinMemoTest, ASuccessLeavesNothingBehind) {
  PinMemo memo = Memo();
  memo.Begin(kModule, kSerial, MakePin("1111"));
  memo.Succeeded();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Allows(MakePin("1111")));
}

TEST_F(PinMemoTest, ATryThatToldNothingLeavesNothingBehind) {
  for (int i = 0; i < 3; ++i) {
    PinMemo memo = Memo();
    memo.Begin(kModule, kSerial, MakePin("1111"));
    memo.Undecided();
  }
  EXPECT_TRUE(Allows(MakePin("1111")));
}

TEST_F(PinMemoTest, ALoginThatWasCutOffIsTriedOnceMore) {
  Memo().Begin(kModule, kSerial, MakePin("1111"));  // and the process dies
  EXPECT_TRUE(Allows(MakePin("1111")));
  Memo().Begin(kModule, kSerial, MakePin("1111"));
  EXPECT_FALSE(Allows(MakePin("1111")));
  EXPECT_FALSE(Allows(MakePin("1111"), kSerial, 2)) << "also after a restart of the server";
  EXPECT_TRUE(Allows(MakePin("2222", 2)));
}

TEST_F(PinMemoTest, ANewPinHasTriesOfItsOwn) {
  Memo().Begin(kModule, kSerial, MakePin("1111"));
  Memo().Begin(kModule, kSerial, MakePin("2222", 2));
  EXPECT_TRUE(Allows(MakePin("2222", 2)));
}

TEST_F(PinMemoTest, ClearForgets) {
  Refuse(MakePin("1111"));
  Memo().Clear();
  EXPECT_TRUE(Allows(MakePin("1111")));
  EXPECT_NO_THROW(Memo().Clear());
}

TEST_F(PinMemoTest, ARefusalOutlivesTheServer) {
  Refuse(MakePin("1111"));
  EXPECT_FALSE(Allows(MakePin("1111", 2), kSerial, 2));
  PinMemo other = Memo(2);
  other.Begin(kModule, "serial 2", MakePin("1111"));
  other.Succeeded();
  EXPECT_FALSE(Allows(MakePin("1111", 2), kSerial, 2)) << "so r must have stayed";
}

TEST_F(PinMemoTest, DrawsANewKeyForEachServerStart) {
  const auto key_after_login = [this](std::uint64_t server_start) {
    PinMemo memo = Memo(server_start);
    memo.Begin(kModule, kSerial, MakePin("1111"));
    memo.Succeeded();
    return Bytes().substr(24, 32);
  };
  const std::string first = key_after_login(1);
  EXPECT_EQ(key_after_login(1), first);
  EXPECT_NE(key_after_login(2), first);
}

TEST_F(PinMemoTest, IsAFileOfMode0600WithoutThePin) {
  Refuse(MakePin("secret-pin-text"));
  struct stat status;
  ASSERT_EQ(stat(folder_.File("memo").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  EXPECT_EQ(Bytes().find("secret"), std::string::npos);
}

TEST_F(PinMemoTest, TakesGarbageForNoMemoAndWritesOverIt) {
  Refuse(MakePin("1111"));
  const std::string good = Bytes();
  std::string bad_state = good;
  bad_state[56] = 9;
  for (const std::string& garbage : {std::string(), std::string("x"), std::string(good.size(), '\xFF'),
                                     good.substr(0, good.size() - 1), bad_state}) {
    folder_.Write("memo", garbage);
    EXPECT_TRUE(Allows(MakePin("1111")));
    Refuse(MakePin("1111"));
    EXPECT_FALSE(Allows(MakePin("1111")));
  }
}

TEST_F(PinMemoTest, SendsNoPinWhenItCannotLeaveATrace) {
  PinMemo memo("/nonexistent/memo", 1, FakePrimitives());
  EXPECT_ERROR(kNotConfigured, memo.Begin(kModule, kSerial, MakePin("1111")));
}

}  // namespace
}  // namespace trustpoint::test
