#include <gtest/gtest.h>

#include <openssl/err.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "crypto/kdf.hpp"
#include "crypto/random.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::crypto {
namespace {

using test::Buffer;

TEST(Sha256, HashesTheExamplesOfFips180) {
  EXPECT_EQ(test::ToHex(Sha256({base::AsBytes("abc")})),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(test::ToHex(Sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, HashesPartsAsIfTheyWereJoined) {
  EXPECT_EQ(Sha256({base::AsBytes("a"), {}, base::AsBytes("bc")}), Sha256({base::AsBytes("abc")}));
}

TEST(HmacSha256, TakesAnEmptyKeyAndNoMessage) {
  EXPECT_EQ(test::ToHex(HmacSha256({}, {})),
            "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

// The expanded block T(1) = HMAC(PRK, info || 01) with PRK = HMAC(32 zeros, key): RFC 5869 spelt out.
TEST(HkdfSha256, WithInfoIsExtractAndExpandWithAnEmptySalt) {
  const Buffer key(32, 0x0b);
  const Buffer salt(32, 0);
  const Buffer one = {1};
  const auto prk = HmacSha256(salt, {key});
  Buffer out(32);
  HkdfSha256(key, "trustpoint check v1", out);
  EXPECT_EQ(test::ToHex(out), test::ToHex(HmacSha256(prk, {base::AsBytes("trustpoint check v1"), one})));
}

TEST(HkdfSha256, GivesDifferentKeysForDifferentInfo) {
  const Buffer key(32, 1);
  std::set<Buffer> keys;
  for (const char* info : {"", "a", "b", "trustpoint index v1"}) {
    Buffer out(32);
    HkdfSha256(key, info, out);
    keys.insert(out);
  }
  EXPECT_EQ(keys.size(), 4U);
}

TEST(HkdfSha256, RefusesMoreThanTheRfcAllows) {
  const Buffer key(32, 1);
  Buffer most(255 * 32);
  EXPECT_NO_THROW(HkdfSha256(key, "", most));
  Buffer more(255 * 32 + 1, 'x');
  EXPECT_THROW(HkdfSha256(key, "", more), base::Error);
  EXPECT_EQ(more, Buffer(more.size(), 0));
  EXPECT_EQ(ERR_peek_error(), 0UL);  // nothing is left for libpq or the server's TLS to stumble on
}

TEST(ConstantTimeEqual, ComparesBytesAndLengths) {
  const Buffer left = {1, 2, 3};
  EXPECT_TRUE(ConstantTimeEqual(left, Buffer{1, 2, 3}));
  EXPECT_FALSE(ConstantTimeEqual(left, Buffer{1, 2, 4}));
  EXPECT_FALSE(ConstantTimeEqual(left, Buffer{1, 2}));
  EXPECT_FALSE(ConstantTimeEqual(left, {}));
  EXPECT_TRUE(ConstantTimeEqual({}, {}));
}

TEST(Random, FillsEveryByteOfAnySize) {
  for (const std::size_t size : {0U, 1U, 12U, 32U, 256U, 257U, 100000U}) {
    Buffer seen(size, 0);
    Buffer out(size);
    for (int round = 0; round < 8; ++round) {
      Random(out);
      for (std::size_t i = 0; i < size; ++i) seen[i] |= out[i];
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 0), 0) << size;
  }
}

TEST(Random, NeverRepeats) {
  std::set<Buffer> seen;
  for (int round = 0; round < 1000; ++round) {
    Buffer out(12);
    Random(out);
    EXPECT_TRUE(seen.insert(out).second);
  }
}

}  // namespace
}  // namespace trustpoint::crypto
