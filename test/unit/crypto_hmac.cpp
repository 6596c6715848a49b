#include <gtest/gtest.h>

#include "base/error.hpp"
#include "crypto/hmac.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::crypto {
namespace {

using test::Buffer;

Buffer Key(std::uint8_t byte) { return Buffer(kSha256Size, byte); }

TEST(HmacSha256Key, GivesWhatHmacSha256Gives) {
  HmacSha256Key hmac;
  for (const std::uint8_t byte : Buffer{0x00, 0x36, 0x5c, 0xff}) {
    hmac.SetKey(Key(byte));
    for (const std::size_t size : {0U, 1U, 55U, 56U, 63U, 64U, 65U, 1000U}) {
      const Buffer message(size, 'm');
      EXPECT_EQ(hmac.Code({message}), HmacSha256(Key(byte), {message})) << size;
    }
  }
}

TEST(HmacSha256Key, TakesPartsAsIfTheyWereJoined) {
  HmacSha256Key hmac;
  hmac.SetKey(Key(1));
  EXPECT_EQ(hmac.Code({base::AsBytes("a"), {}, base::AsBytes("bc")}), hmac.Code({base::AsBytes("abc")}));
  EXPECT_EQ(hmac.Code({}), hmac.Code({{}, {}}));
}

TEST(HmacSha256Key, ACodeLeavesNothingForTheNext) {
  HmacSha256Key hmac;
  hmac.SetKey(Key(1));
  const auto first = hmac.Code({base::AsBytes("one")});
  EXPECT_NE(hmac.Code({base::AsBytes("two")}), first);
  EXPECT_EQ(hmac.Code({base::AsBytes("one")}), first);
}

TEST(HmacSha256Key, IsNothingWithoutAKey) {
  HmacSha256Key hmac;
  EXPECT_THROW(hmac.Code({}), base::Error);
  hmac.SetKey(Key(1));
  EXPECT_TRUE(hmac.keyed());
  hmac.Clear();
  EXPECT_FALSE(hmac.keyed());
  EXPECT_THROW(hmac.Code({}), base::Error);
  hmac.SetKey(Key(2));
  EXPECT_EQ(hmac.Code({}), HmacSha256(Key(2), {}));
}

TEST(HmacSha256Key, RefusesAKeyOfAnotherSize) {
  HmacSha256Key hmac;
  EXPECT_THROW(hmac.SetKey(Buffer(31)), base::Error);
  EXPECT_THROW(hmac.SetKey(Buffer(64)), base::Error);
  EXPECT_THROW(hmac.SetKey({}), base::Error);
}

}  // namespace
}  // namespace trustpoint::crypto
