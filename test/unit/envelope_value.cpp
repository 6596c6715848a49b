#include <gtest/gtest.h>

#include <algorithm>

#include "envelope/value.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::envelope {
namespace {

constexpr Suite kSuites[] = {Suite::kXaes256Gcm, Suite::kAes256Gcm};
constexpr std::size_t kSizes[] = {0, 1, 15, 16, 17, 1000, 10000};

// A value whose nonce, ciphertext and tag bytes are 'n', 'c' and 't'.
test::Buffer Make(Suite suite, std::uint32_t key_id, std::size_t size) {
  test::Buffer stored(Overhead(suite) + size);
  const ValueSlots slots = Lay(suite, key_id, stored);
  std::fill(slots.nonce.begin(), slots.nonce.end(), std::uint8_t{'n'});
  std::fill(slots.ciphertext.begin(), slots.ciphertext.end(), std::uint8_t{'c'});
  std::fill(slots.tag.begin(), slots.tag.end(), std::uint8_t{'t'});
  return stored;
}

TEST(Value, OverheadsAreThoseOfTheDesign) {
  EXPECT_EQ(Overhead(Suite::kXaes256Gcm), 45U);
  EXPECT_EQ(Overhead(Suite::kAes256Gcm), 33U);
}

TEST(Value, SuitesHaveTheNamesOfTheSetting) {
  EXPECT_STREQ(SuiteName(Suite::kXaes256Gcm), "xaes-256-gcm");
  EXPECT_STREQ(SuiteName(Suite::kAes256Gcm), "aes-256-gcm");
}

TEST(Value, IsLaidOutAsTheDesignSays) {
  EXPECT_EQ(test::ToHex(Make(Suite::kAes256Gcm, 0x01020304, 3)),
            "e2"
            "01020304"
            "6e6e6e6e6e6e6e6e6e6e6e6e"
            "636363"
            "74747474747474747474747474747474");
}

TEST(Value, ParsesIntoThePartsThatWereLaid) {
  for (const Suite suite : kSuites)
    for (const std::size_t size : kSizes) {
      const test::Buffer stored = Make(suite, 0x7FFFFFFF, size);
      const auto value = Parse(stored);
      ASSERT_TRUE(value);
      EXPECT_EQ(value->suite, suite);
      EXPECT_EQ(value->key_id, 0x7FFFFFFFU);
      EXPECT_EQ(test::ToHex(value->nonce), test::ToHex(test::Buffer(NonceSize(suite), 'n')));
      EXPECT_EQ(test::ToHex(value->ciphertext), test::ToHex(test::Buffer(size, 'c')));
      EXPECT_EQ(test::ToHex(value->tag), test::ToHex(test::Buffer(kTagSize, 't')));
    }
}

TEST(Value, ShorterThanItsOverheadIsNoValue) {
  for (const Suite suite : kSuites) {
    const test::Buffer stored = Make(suite, 1, 0);
    for (std::size_t size = 0; size < stored.size(); ++size)
      EXPECT_FALSE(Parse(base::Bytes(stored).first(size))) << size;
    EXPECT_TRUE(Parse(stored));
  }
}

TEST(Value, OfAnyOtherSuiteIsNoValue) {
  test::Buffer stored = Make(Suite::kXaes256Gcm, 1, 100);
  for (unsigned byte = 0; byte < 256; ++byte) {
    stored[0] = static_cast<std::uint8_t>(byte);
    EXPECT_EQ(Parse(stored).has_value(), byte == 0xE1 || byte == 0xE2) << byte;
  }
}

TEST(Value, KeyIdIsAPositiveInteger) {
  for (const std::uint32_t id : {1U, 0x7FFFFFFFU}) EXPECT_TRUE(Parse(Make(Suite::kXaes256Gcm, id, 0)));
  for (const std::uint32_t id : {0U, 0x80000000U, 0xFFFFFFFFU})
    EXPECT_FALSE(Parse(Make(Suite::kXaes256Gcm, id, 0)));
}

TEST(Value, IsKnownToBeWellFormedFromItsHeaderAndSizeAlone) {
  for (const Suite suite : kSuites) {
    const test::Buffer stored = Make(suite, 1, 0);
    const base::Bytes header = base::Bytes(stored).first(kHeaderSize);
    EXPECT_TRUE(IsWellFormed(header, Overhead(suite)));
    EXPECT_TRUE(IsWellFormed(header, std::size_t{1} << 30));
    EXPECT_FALSE(IsWellFormed(header, Overhead(suite) - 1));
    EXPECT_FALSE(IsWellFormed(header.first(kHeaderSize - 1), Overhead(suite)));
  }
}

TEST(Value, AadHeadHoldsVersionSuiteAndKeyId) {
  EXPECT_EQ(test::ToHex(AadHead(Suite::kXaes256Gcm, 0x01020304)),
            "747031"
            "e1"
            "01020304");
  EXPECT_EQ(test::ToHex(AadHead(Suite::kAes256Gcm, 1)),
            "747031"
            "e2"
            "00000001");
}

}  // namespace
}  // namespace trustpoint::envelope
