// What is derived from a DEK, against values that test/vectors/make_vectors.py made without our code.
#include "keyring/subkeys.hpp"

#include <gtest/gtest.h>

#include <set>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "keyring/opener.hpp"
#include "unit/keyring_fixture.hpp"

namespace trustpoint::test {
namespace {

using envelope::Purpose;
using keyring::Dek;

std::vector<Record> Vectors(const std::string& kind) {
  std::vector<Record> chosen;
  for (const Record& record : ReadVectors(TRUSTPOINT_OWN_VECTORS, "kind"))
    if (record.Text("kind") == kind) chosen.push_back(record);
  EXPECT_FALSE(chosen.empty()) << kind;
  return chosen;
}

TEST(KeyringSubkeys, BindingOfARowIsTheHashOfTheVectors) {
  int checked = 0;
  for (const Record& record : Vectors("binding")) {
    const Buffer kek_id = record.Bytes("kek_id"), name = record.Bytes("name");
    if (kek_id.size() != envelope::kKekIdSize) continue;  // a row's is never shorter
    keyring::DekRow row =
        MakeRow(record.Number("id"), base::AsText(name), static_cast<Purpose>(record.Number("purpose")));
    std::copy(kek_id.begin(), kek_id.end(), row.kek_id.begin());
    EXPECT_EQ(ToHex(BindingOf(row)), record.Text("m"));
    ++checked;
  }
  EXPECT_GE(checked, 2);
}

TEST(KeyringSubkeys, BindingDependsOnEveryFieldButTheState) {
  const keyring::DekRow row = MakeRow(7, "tenant");
  std::set<std::string> bindings = {ToHex(BindingOf(row))};
  keyring::DekRow other = MakeRow(8, "tenant");
  bindings.insert(ToHex(BindingOf(other)));
  other = MakeRow(7, "tenanu");
  bindings.insert(ToHex(BindingOf(other)));
  other = MakeRow(7, "tenan");
  bindings.insert(ToHex(BindingOf(other)));
  other = MakeRow(7, "tenant", Purpose::kIndex);
  bindings.insert(ToHex(BindingOf(other)));
  other = row;
  other.kek_id[15] = 1;
  bindings.insert(ToHex(BindingOf(other)));
  EXPECT_EQ(bindings.size(), 6u);
  other = row;
  other.state = keyring::DekState::kRetired;
  EXPECT_EQ(BindingOf(other), BindingOf(row));
}

TEST(KeyringSubkeys, CheckValuesAreThoseOfTheVectors) {
  for (const Record& record : Vectors("check")) {
    keyring::Binding m;
    base::Copy(m, record.Bytes("m"));
    EXPECT_EQ(ToHex(keyring::CheckValue(record.Bytes("dek"), m)), record.Text("check"));
  }
}

TEST(KeyringSubkeys, ADekOfPurposeDataOpensTheValuesOfTheVectors) {
  keyring::Opener opener;
  for (const Record& record : Vectors("value")) {
    const Buffer stored = record.Bytes("stored");
    const auto value = envelope::Parse(stored);
    ASSERT_TRUE(value);
    Buffer plaintext(value->ciphertext.size());
    const Dek dek(Purpose::kData, record.Bytes("dek"));
    EXPECT_TRUE(opener.Open(dek, *value, record.Bytes("context"), plaintext));
    EXPECT_EQ(plaintext, record.Bytes("plaintext"));
  }
}

TEST(KeyringSubkeys, ADekOfPurposeIndexGivesTheIndexOfTheVectors) {
  for (const Record& record : Vectors("index")) {
    const Dek dek(Purpose::kIndex, record.Bytes("dek"));
    const Buffer type = record.Bytes("type"), context = record.Bytes("context"),
                 value = record.Bytes("plaintext");
    std::uint8_t size[4];
    base::PutU32(size, static_cast<std::uint32_t>(context.size()));
    EXPECT_EQ(
        ToHex(crypto::HmacSha256(dek.index_key(), {base::AsBytes("tpidx1"), type, size, context, value})),
        record.Text("index"));
  }
}

TEST(KeyringSubkeys, NoSubkeyIsTheDekOrAnotherSubkey) {
  const Buffer bytes = FromHex(kDekHex);
  const Dek data(Purpose::kData, bytes), index(Purpose::kIndex, bytes), tpsec(Purpose::kTpsec, bytes);
  const std::set<std::string> keys = {ToHex(bytes), ToHex(data.xaes_key()), ToHex(data.gcm_key()),
                                      ToHex(index.index_key())};
  EXPECT_EQ(keys.size(), 4u);
  EXPECT_EQ(ToHex(tpsec.tpsec_key()), kDekHex) << "Trustpoint's own format uses the raw key";
}

TEST(KeyringSubkeys, EveryDekHasASerialOfItsOwn) {
  const Dek first = DataDek(), second = DataDek();
  EXPECT_NE(first.serial(), second.serial());
}

TEST(KeyringSubkeys, SubkeysGiveTheirLockedMemoryBack) {
  const std::size_t before = base::SecretMemory().used;
  {
    const Dek dek = DataDek();
    EXPECT_EQ(base::SecretMemory().used, before + 64) << "the DEK itself is not kept";
  }
  EXPECT_EQ(base::SecretMemory().used, before);
}

}  // namespace
}  // namespace trustpoint::test
