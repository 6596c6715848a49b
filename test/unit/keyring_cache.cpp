// DekCache: a DEK lives as long as a row, read again, vouches for it.
#include "keyring/cache.hpp"

#include <gtest/gtest.h>

#include "base/secret.hpp"
#include "unit/keyring_fixture.hpp"

namespace trustpoint::test {
namespace {

using envelope::Purpose;
using keyring::CachedDek;
using keyring::DekRow;
using keyring::DekState;

class KeyringCache : public ::testing::Test {
 protected:
  // As src/pg does on first use.
  CachedDek* Use(const DekRow& row, std::int64_t now = 0) {
    CachedDek* entry = cache_.Update(row);
    if (!entry->dek) entry->dek.emplace(Purpose::kData, FromHex(kDekHex));
    entry->opened_at = now;
    cache_.SetActive(entry);
    return entry;
  }

  keyring::DekCache cache_;
  const DekRow row_ = MakeRow(7, "tenant");
};

TEST_F(KeyringCache, KnowsNothingAtFirst) {
  EXPECT_EQ(cache_.ById(7), nullptr);
  EXPECT_EQ(cache_.Active(Purpose::kData, "tenant"), nullptr);
  EXPECT_EQ(cache_.opened(), 0u);
  EXPECT_TRUE(cache_.Stale().empty());
  EXPECT_EQ(cache_.Wipe(), 0u);
  cache_.Remove(7);
  cache_.Expire(1);
}

TEST_F(KeyringCache, FindsAnEntryByIdAndByNameAndPurpose) {
  CachedDek* entry = Use(row_);
  EXPECT_EQ(cache_.ById(7), entry);
  EXPECT_EQ(cache_.ById(8), nullptr);
  EXPECT_EQ(cache_.Active(Purpose::kData, "tenant"), entry);
  EXPECT_EQ(cache_.Active(Purpose::kIndex, "tenant"), nullptr);
  EXPECT_EQ(cache_.Active(Purpose::kData, "tenan"), nullptr);
  EXPECT_EQ(cache_.Active(Purpose::kData, "tenants"), nullptr);
  EXPECT_EQ(cache_.Active(Purpose::kData, ""), nullptr);
}

TEST_F(KeyringCache, ServesManyEntriesAtAddressesThatStay) {
  std::vector<CachedDek*> entries;
  for (std::uint32_t id = 1; id <= 500; ++id)
    entries.push_back(Use(MakeRow(id, "tenant " + std::to_string(id))));
  for (std::uint32_t id = 1; id <= 500; ++id) {
    EXPECT_EQ(cache_.ById(id), entries[id - 1]);
    EXPECT_EQ(cache_.Active(Purpose::kData, "tenant " + std::to_string(id)), entries[id - 1]);
  }
  EXPECT_EQ(cache_.opened(), 500u);
}

TEST_F(KeyringCache, TheNewestOfANameIsActive) {
  CachedDek* first = Use(row_);
  CachedDek* second = Use(MakeRow(8, "tenant"));
  EXPECT_EQ(cache_.Active(Purpose::kData, "tenant"), second);
  EXPECT_EQ(cache_.ById(7), first);
  cache_.Remove(8);
  EXPECT_EQ(cache_.Active(Purpose::kData, "tenant"), nullptr)
      << "the rows say which one serves, not the cache";
}

TEST_F(KeyringCache, AStaleEntryIsNotServedUntilItsRowIsReadAgain) {
  CachedDek* entry = Use(row_);
  EXPECT_EQ(cache_.Stale(), std::vector<std::uint32_t>{7});
  EXPECT_EQ(cache_.ById(7), nullptr);
  EXPECT_EQ(cache_.Active(Purpose::kData, "tenant"), nullptr);
  EXPECT_EQ(cache_.Update(row_), entry);
  EXPECT_EQ(cache_.ById(7), entry);
  EXPECT_TRUE(entry->dek) << "the same wrapped bytes: no second unwrap";
  EXPECT_EQ(cache_.Active(Purpose::kData, "tenant"), nullptr) << "names are found anew";
}

TEST_F(KeyringCache, GoingStaleLetsGoOfRowsWithoutADek) {
  cache_.Update(row_);
  EXPECT_TRUE(cache_.Stale().empty());
  EXPECT_EQ(cache_.ById(7), nullptr);
}

TEST_F(KeyringCache, GoingStaleForgetsWhoWasAllowed) {
  Use(row_)->allowed_role = {10, 20, 30, 40};
  cache_.Stale();
  EXPECT_EQ(cache_.Update(row_)->allowed_role, (std::array<std::uint32_t, 4>{}));
}

TEST_F(KeyringCache, KeepsADekThatIsRetired) {
  Use(row_);
  DekRow retired = row_;
  retired.state = DekState::kRetired;
  EXPECT_TRUE(cache_.Update(retired)->dek);
}

TEST_F(KeyringCache, DropsADekThatItsRowNoLongerVouchesFor) {
  const auto after = [&](auto change) {
    Use(row_);
    DekRow changed = row_;
    change(changed);
    const bool kept = cache_.Update(changed)->dek.has_value();
    cache_.Remove(7);
    return kept;
  };
  EXPECT_TRUE(after([](DekRow&) {}));
  EXPECT_FALSE(after([](DekRow& row) { row.state = DekState::kDisabled; }));
  EXPECT_FALSE(after([](DekRow& row) { row.state = DekState::kDestroyed; }));
  EXPECT_FALSE(after([](DekRow& row) { row.wrapped[71] ^= 1; }));
  EXPECT_FALSE(after([](DekRow& row) { row.kek_id[0] ^= 1; }));
  EXPECT_FALSE(after([](DekRow& row) { row.check_value[0] ^= 1; }));
  EXPECT_FALSE(after([](DekRow& row) { row.purpose = Purpose::kIndex; }));
  EXPECT_FALSE(after([](DekRow& row) { row.name[0] = 'T'; }));
  EXPECT_FALSE(after([](DekRow& row) { row.name_size = 5; }));
}

TEST_F(KeyringCache, WipesEveryDekAndItsLockedMemory) {
  const std::size_t before = base::SecretMemory().used;
  for (std::uint32_t id = 1; id <= 10; ++id) Use(MakeRow(id, "tenant " + std::to_string(id)));
  EXPECT_GT(base::SecretMemory().used, before);
  EXPECT_EQ(cache_.Wipe(), 10u);
  EXPECT_EQ(base::SecretMemory().used, before);
  EXPECT_EQ(cache_.opened(), 0u);
  EXPECT_EQ(cache_.Wipe(), 0u);
  ASSERT_NE(cache_.ById(3), nullptr) << "the rows are still good";
  EXPECT_FALSE(cache_.ById(3)->dek);
}

TEST_F(KeyringCache, ExpiresTheDeksOpenedBefore) {
  Use(MakeRow(1, "a"), 100);
  Use(MakeRow(2, "b"), 101);
  cache_.Expire(101);
  EXPECT_FALSE(cache_.ById(1)->dek);
  EXPECT_TRUE(cache_.ById(2)->dek);
  EXPECT_EQ(cache_.opened(), 1u);
}

TEST_F(KeyringCache, VersionsAreRememberedForTheirPurposeAndName) {
  CachedDek* one = Use(MakeRow(1, "a", Purpose::kIndex));
  CachedDek* two = Use(MakeRow(2, "a", Purpose::kIndex));
  cache_.SetVersions(Purpose::kIndex, "a", {one, two});
  ASSERT_NE(cache_.Versions(Purpose::kIndex, "a"), nullptr);
  EXPECT_EQ(*cache_.Versions(Purpose::kIndex, "a"), (std::vector<CachedDek*>{one, two}));
  EXPECT_EQ(cache_.Versions(Purpose::kTpsec, "a"), nullptr);
  EXPECT_EQ(cache_.Versions(Purpose::kIndex, "b"), nullptr);
  EXPECT_EQ(cache_.Versions(Purpose::kIndex, ""), nullptr);
  cache_.SetVersions(Purpose::kIndex, "a", {two});
  EXPECT_EQ(*cache_.Versions(Purpose::kIndex, "a"), (std::vector<CachedDek*>{two}));
  cache_.SetVersions(Purpose::kIndex, "b", {});
  EXPECT_TRUE(cache_.Versions(Purpose::kIndex, "b")->empty()) << "that there is none is remembered too";
}

TEST_F(KeyringCache, VersionsAreForgottenWhenRowsMayHaveChanged) {
  CachedDek* one = Use(MakeRow(1, "a", Purpose::kIndex));
  CachedDek* two = Use(MakeRow(2, "a", Purpose::kIndex));
  cache_.SetVersions(Purpose::kIndex, "a", {one, two});
  cache_.Stale();
  EXPECT_EQ(cache_.Versions(Purpose::kIndex, "a"), nullptr);
  cache_.SetVersions(Purpose::kIndex, "a", {});
  cache_.Remove(2);
  EXPECT_EQ(cache_.Versions(Purpose::kIndex, "a"), nullptr);
}

}  // namespace
}  // namespace trustpoint::test
