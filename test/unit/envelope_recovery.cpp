// The form of an exported DEK.
#include "envelope/recovery.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace trustpoint::test {
namespace {

using envelope::ParseRecovery;
using envelope::RecoveryHead;

std::vector<std::uint8_t> Export() {
  base::Block<envelope::kKekIdSize> kek_id;
  for (std::size_t i = 0; i < kek_id.size(); ++i) kek_id[i] = static_cast<std::uint8_t>(0xA0 + i);
  const auto head = RecoveryHead(0x01020304, kek_id);
  std::vector<std::uint8_t> bytes(head.size() + 3);
  base::Copy(bytes, head);
  base::Copy(base::MutableBytes(bytes).subspan(head.size()), base::Block<3>{1, 2, 3});
  return bytes;
}

TEST(EnvelopeRecovery, HasItsFixedForm) {
  const auto bytes = Export();
  EXPECT_EQ(bytes.size(), 29U);
  EXPECT_EQ(base::AsText(base::Bytes(bytes).first(6)), "tprec1");
  EXPECT_EQ(base::GetU32(bytes.data() + 6), 0x01020304U);
  EXPECT_EQ(bytes[10], 0xA0);
  EXPECT_EQ(bytes[25], 0xAF);
}

TEST(EnvelopeRecovery, ReadsWhatItWrote) {
  const auto bytes = Export();
  const auto read = ParseRecovery(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->id, 0x01020304U);
  EXPECT_EQ(read->kek_id.size(), 16U);
  EXPECT_EQ(read->kek_id[15], 0xAF);
  EXPECT_EQ(read->ciphertext.size(), 3U);
  EXPECT_EQ(read->ciphertext[0], 1);
}

TEST(EnvelopeRecovery, RefusesWhatIsNone) {
  const auto bytes = Export();
  for (std::size_t size = 0; size <= envelope::kRecoveryHeadSize; ++size)
    EXPECT_FALSE(ParseRecovery(base::Bytes(bytes).first(size))) << size;
  for (std::size_t i = 0; i < 6; ++i) {
    auto changed = bytes;
    changed[i] ^= 1;
    EXPECT_FALSE(ParseRecovery(changed)) << i;
  }
}

}  // namespace
}  // namespace trustpoint::test
