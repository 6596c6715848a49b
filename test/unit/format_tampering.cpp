// Whatever is changed in a stored value, it does not open.
#include <gtest/gtest.h>

#include "unit/format_sealing.hpp"

namespace trustpoint::test {
namespace {

constexpr envelope::Suite kSuites[] = {envelope::Suite::kXaes256Gcm, envelope::Suite::kAes256Gcm};
constexpr std::size_t kSizes[] = {0, 1, 15, 16, 17, 1000, 10000};
constexpr std::uint32_t kKeyId = 0x01020304;
const Buffer kDek(crypto::kKeySize, 0x55);
const base::Bytes kContext = base::AsBytes("users/17");

Buffer Plaintext(std::size_t size) {
  Buffer bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 7);
  return bytes;
}

Buffer Seal(envelope::Suite suite, std::size_t size) {
  return SealValue(suite, kKeyId, kDek, Buffer(envelope::NonceSize(suite), 0x66), kContext, Plaintext(size));
}

TEST(StoredValue, OfEverySizeOpensToItsPlaintext) {
  for (const envelope::Suite suite : kSuites)
    for (const std::size_t size : kSizes)
      EXPECT_EQ(OpenValue(Seal(suite, size), kDek, kContext), Plaintext(size));
}

TEST(StoredValue, WithAnyBitFlippedIsRefused) {
  for (const envelope::Suite suite : kSuites)
    for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 1000U}) {
      Buffer stored = Seal(suite, size);
      for (std::size_t bit = 0; bit < stored.size() * 8; ++bit) {
        stored[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
        EXPECT_FALSE(OpenValue(stored, kDek, kContext)) << "size " << size << ", bit " << bit;
        stored[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
      }
      EXPECT_TRUE(OpenValue(stored, kDek, kContext));
    }
}

TEST(StoredValue, CutAnywhereIsRefused) {
  for (const envelope::Suite suite : kSuites)
    for (const std::size_t size : kSizes) {
      const Buffer stored = Seal(suite, size);
      for (std::size_t kept = 0; kept < stored.size(); ++kept)
        EXPECT_FALSE(OpenValue(base::Bytes(stored).first(kept), kDek, kContext)) << kept;
      EXPECT_FALSE(OpenValue(base::Bytes(stored).subspan(1), kDek, kContext));
    }
}

TEST(StoredValue, WithBytesAddedIsRefused) {
  for (const envelope::Suite suite : kSuites) {
    Buffer stored = Seal(suite, 16);
    stored.push_back(0);
    EXPECT_FALSE(OpenValue(stored, kDek, kContext));
  }
}

TEST(StoredValue, UnderAnotherContextOrKeyIsRefused) {
  Buffer other = kDek;
  other[31] ^= 1;
  for (const envelope::Suite suite : kSuites) {
    const Buffer stored = Seal(suite, 16);
    EXPECT_FALSE(OpenValue(stored, other, kContext));
    for (const char* context : {"", "users/1", "users/18", "users/177"})
      EXPECT_FALSE(OpenValue(stored, kDek, base::AsBytes(context)));
  }
}

}  // namespace
}  // namespace trustpoint::test
