#include <gtest/gtest.h>

#include <string>

#include "envelope/dek.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::envelope {
namespace {

std::string BindingInput(std::uint32_t id, Purpose purpose, base::Bytes name, base::Bytes kek_id) {
  base::Block<kMaxBindingInputSize> out;
  return test::ToHex({out.data(), WriteBindingInput(id, purpose, name, kek_id, out)});
}

TEST(Dek, PurposesHaveTheNamesOfTheTable) {
  for (const Purpose purpose : {Purpose::kData, Purpose::kIndex, Purpose::kTpsec})
    EXPECT_EQ(PurposeFromName(PurposeName(purpose)), purpose);
  EXPECT_STREQ(PurposeName(Purpose::kData), "data");
  EXPECT_STREQ(PurposeName(Purpose::kIndex), "index");
  EXPECT_STREQ(PurposeName(Purpose::kTpsec), "tpsec");
}

TEST(Dek, OtherNamesAreNoPurpose) {
  for (const std::string_view name : {"", "Data", "data ", "dat", "index2"})
    EXPECT_FALSE(PurposeFromName(name));
}

TEST(Dek, BindingInputIsLaidOutAsTheDesignSays) {
  EXPECT_EQ(BindingInput(0x01020304, Purpose::kIndex, base::AsBytes("ab"), base::AsBytes("xyz")),
            "747064656b31"
            "01020304"
            "02"
            "00000002"
            "6162"
            "03"
            "78797a");
}

TEST(Dek, BindingInputOfEmptyNameAndKekId) {
  EXPECT_EQ(BindingInput(1, Purpose::kTpsec, {}, {}),
            "747064656b31"
            "00000001"
            "03"
            "00000000"
            "00");
}

TEST(Dek, NameAndKekIdCannotFlowIntoEachOther) {
  EXPECT_NE(BindingInput(1, Purpose::kData, base::AsBytes("ab"), base::AsBytes("c")),
            BindingInput(1, Purpose::kData, base::AsBytes("a"), base::AsBytes("bc")));
}

TEST(Dek, LargestBindingInputFillsTheBlock) {
  const std::string name(kMaxDekNameSize, 'n');
  const std::string kek_id(255, 'k');
  base::Block<kMaxBindingInputSize> out;
  EXPECT_EQ(WriteBindingInput(1, Purpose::kData, base::AsBytes(name), base::AsBytes(kek_id), out),
            out.size());
}

TEST(Dek, BindingInputNeverLeavesTheBlock) {
  const std::string too_long(1000, 'n');
  base::Block<kMaxBindingInputSize> out;
  EXPECT_EQ(WriteBindingInput(1, Purpose::kData, base::AsBytes(too_long), base::AsBytes(too_long), out),
            out.size());
}

}  // namespace
}  // namespace trustpoint::envelope
