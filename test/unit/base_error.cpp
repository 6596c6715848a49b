#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "base/error.hpp"

namespace trustpoint::base {
namespace {

constexpr std::size_t kMessage = sizeof Failure::message;

std::string MessageOf(const std::string& text) { return Error(ErrorCode::kInternal, text).failure().message; }

TEST(Error, KeepsWhatItWasMadeOf) {
  const Error error = Error(ErrorCode::kBusy, "message", "detail", "hint").WithTokenCode(0xE1).WithWait(250);
  EXPECT_EQ(error.code(), ErrorCode::kBusy);
  EXPECT_EQ(error.token_code(), 0xE1UL);
  EXPECT_STREQ(error.what(), "message");
  EXPECT_STREQ(error.failure().detail, "detail");
  EXPECT_STREQ(error.failure().hint, "hint");
  EXPECT_EQ(error.failure().wait_ms, 250);
}

TEST(Error, HasNoDetailHintTokenCodeOrWaitUnlessGiven) {
  const Error error(ErrorCode::kNotFound, "message");
  EXPECT_STREQ(error.failure().detail, "");
  EXPECT_STREQ(error.failure().hint, "");
  EXPECT_EQ(error.token_code(), 0UL);
  EXPECT_EQ(error.failure().wait_ms, 0);
}

TEST(Error, KeepsATextThatJustFits) {
  const std::string text(kMessage - 1, 'x');
  EXPECT_EQ(MessageOf(text), text);
}

TEST(Error, CutsATextThatIsOneByteTooLong) {
  EXPECT_EQ(MessageOf(std::string(kMessage, 'x')), std::string(kMessage - 1, 'x'));
}

TEST(Error, CutsDetailAndHintToo) {
  const std::string text(2000, 'x');
  const Error error(ErrorCode::kInternal, "", text, text);
  EXPECT_EQ(std::string(error.failure().detail), std::string(sizeof Failure::detail - 1, 'x'));
  EXPECT_EQ(std::string(error.failure().hint), std::string(sizeof Failure::hint - 1, 'x'));
}

// A character of each length, at every place across the border: what is kept is whole characters, and as many
// as fit.
TEST(Error, NeverCutsInsideACharacter) {
  for (const std::string character : {"\xC3\xBC", "\xE4\xB8\x96", "\xF0\x9F\x94\x91"}) {
    for (std::size_t shift = 0; shift < character.size(); ++shift) {
      const std::string start(kMessage - 1 - shift, 'x');
      EXPECT_EQ(MessageOf(start + character + "tail"), start)
          << character.size() << " bytes, shift " << shift;
    }
    const std::string fits(kMessage - 1 - character.size(), 'x');
    EXPECT_EQ(MessageOf(fits + character + "tail"), fits + character);
  }
}

TEST(Contain, ReturnsTrueWhenTheBodyReturns) {
  Failure failure;
  bool ran = false;
  EXPECT_TRUE(Contain(&failure, [&] { ran = true; }));
  EXPECT_TRUE(ran);
}

TEST(Contain, CopiesAnErrorWhole) {
  Failure failure;
  EXPECT_FALSE(
      Contain(&failure, [] { throw Error(ErrorCode::kBusy, "message", "detail", "hint").WithWait(7); }));
  EXPECT_EQ(failure.code, ErrorCode::kBusy);
  EXPECT_STREQ(failure.message, "message");
  EXPECT_STREQ(failure.detail, "detail");
  EXPECT_STREQ(failure.hint, "hint");
  EXPECT_EQ(failure.wait_ms, 7);
}

TEST(Contain, MapsBadAllocToOutOfMemory) {
  Failure failure;
  EXPECT_FALSE(Contain(&failure, [] { throw std::bad_alloc(); }));
  EXPECT_EQ(failure.code, ErrorCode::kOutOfMemory);
  EXPECT_EQ(failure.wait_ms, 0);
}

TEST(Contain, MapsAnyOtherStandardExceptionToInternalWithItsTextAsDetail) {
  Failure failure;
  EXPECT_FALSE(Contain(&failure, [] { throw std::out_of_range("far out"); }));
  EXPECT_EQ(failure.code, ErrorCode::kInternal);
  EXPECT_STREQ(failure.detail, "far out");
}

TEST(Contain, MapsWhatIsNoExceptionClassToInternal) {
  Failure failure;
  EXPECT_FALSE(Contain(&failure, [] { throw 42; }));
  EXPECT_EQ(failure.code, ErrorCode::kInternal);
  EXPECT_STREQ(failure.detail, "");
}

}  // namespace
}  // namespace trustpoint::base
