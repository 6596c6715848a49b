#include <gtest/gtest.h>

#include "base/bytes.hpp"

namespace trustpoint::base {
namespace {

TEST(Bytes, IntegersAreWrittenBigEndian) {
  Block<4> out;
  PutU32(out.data(), 0x01020384);
  EXPECT_EQ(out, (Block<4>{1, 2, 3, 0x84}));
}

TEST(Bytes, IntegersAreReadAsTheyWereWritten) {
  for (const std::uint32_t value : {0U, 1U, 0x80U, 0x7FFFFFFFU, 0x80000000U, 0xFFFFFFFFU}) {
    Block<4> bytes;
    PutU32(bytes.data(), value);
    EXPECT_EQ(GetU32(bytes.data()), value);
  }
}

TEST(Bytes, CopyOfNothingNeedsNoAddress) {
  Block<2> target = {1, 2};
  Copy(target, {});
  EXPECT_EQ(target, (Block<2>{1, 2}));
}

TEST(Bytes, WipeLeavesZeros) {
  Block<40> bytes;
  bytes.fill(7);
  Wipe(bytes);
  EXPECT_EQ(bytes, Block<40>{});
  Wipe({});
}

TEST(Bytes, TextKeepsZeroBytes) {
  const std::string_view text("a\0b", 3);
  EXPECT_EQ(AsBytes(text).size(), 3U);
  EXPECT_EQ(AsText(AsBytes(text)), text);
}

}  // namespace
}  // namespace trustpoint::base
