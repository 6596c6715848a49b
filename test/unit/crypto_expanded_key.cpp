#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "crypto/expanded_key.hpp"
#include "crypto/short_gcm.hpp"
#include "crypto/xaes.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::crypto {
namespace {

using test::Buffer;

const Buffer kKey(kKeySize, 0x11), kOther(kKeySize, 0x12);
const Buffer kNonce(kGcmNonceSize, 0x22);

// What a context makes of its key.
Buffer Work(ShortGcmSealer& sealer) {
  Buffer out(100 + kTagSize);
  const base::MutableBytes all = out;
  sealer.Seal(kNonce, kNonce, {}, Buffer(100, 0x33), all.first(100), all.last(kTagSize));
  return out;
}
Buffer Work(ShortGcmOpener& opener) {
  Buffer sealed(100), tag(kTagSize);
  ShortGcmSealer sealer;
  sealer.SetKey(kKey);
  sealer.Seal(kNonce, kNonce, {}, Buffer(100, 0x33), sealed, tag);
  (void)opener.Open(kNonce, kNonce, {}, sealed, tag, sealed);
  return sealed;
}
Buffer Work(XaesDeriver& deriver) {
  Buffer derived(kKeySize);
  deriver.Derive(Buffer(kXaesPrefixSize, 0x44), derived);
  return derived;
}

template <class Context>
class ExpandedKeys : public ::testing::Test {};
using Contexts = ::testing::Types<ShortGcmSealer, ShortGcmOpener, XaesDeriver>;
TYPED_TEST_SUITE(ExpandedKeys, Contexts);

TYPED_TEST(ExpandedKeys, AreSetAgainWhateverTheContextHeldMeanwhile) {
  TypeParam context;
  context.SetKey(kKey);
  ExpandedKey kept;
  EXPECT_FALSE(context.SetKey(kept)) << "of nothing";
  context.Keep(&kept);
  const Buffer made = Work(context);
  EXPECT_TRUE(context.SetKey(kept));
  EXPECT_EQ(Work(context), made);
  context.Clear();
  EXPECT_TRUE(context.SetKey(kept));
  EXPECT_TRUE(context.keyed());
  EXPECT_EQ(Work(context), made);
  context.SetKey(kOther);
  EXPECT_NE(Work(context), made);
  EXPECT_TRUE(context.SetKey(kept));
  EXPECT_EQ(Work(context), made);
  context.SetKey(kKey);
  EXPECT_EQ(Work(context), made);
}

TYPED_TEST(ExpandedKeys, AreGoodForTheirOwnContextAlone) {
  std::optional<TypeParam> context(std::in_place), other(std::in_place);
  ExpandedKey kept;
  context->SetKey(kKey);
  context->Keep(&kept);
  EXPECT_FALSE(other->SetKey(kept));
  EXPECT_FALSE(other->keyed());
  other->SetKey(kOther);
  const Buffer made = Work(*other);
  EXPECT_FALSE(other->SetKey(kept));
  EXPECT_EQ(Work(*other), made) << "and does no harm to another";
  context.emplace();  // at the very place
  EXPECT_FALSE(context->SetKey(kept));
}

TYPED_TEST(ExpandedKeys, AreNotTakenOfAContextWithoutAKey) {
  TypeParam context;
  ExpandedKey kept;
  EXPECT_THROW(context.Keep(&kept), base::Error);
  context.SetKey(kKey);
  context.Clear();
  EXPECT_THROW(context.Keep(&kept), base::Error);
}

TYPED_TEST(ExpandedKeys, StandInLockedMemoryAndGiveItBack) {
  const std::size_t before = base::SecretMemory().used;
  TypeParam context;
  context.SetKey(kKey);
  {
    ExpandedKey kept;
    context.Keep(&kept);
    const std::size_t used = base::SecretMemory().used;
    EXPECT_GE(used, before + 240) << "the round keys alone";
    EXPECT_LE(used, before + 2048);
    context.Keep(&kept);
    EXPECT_EQ(base::SecretMemory().used, used);
  }
  EXPECT_EQ(base::SecretMemory().used, before);
}

TYPED_TEST(ExpandedKeys, AreKeptWhileLittleSecretMemoryIsInUse) {
  TypeParam context;
  std::vector<ExpandedKey> kept(ExpandedKey::kSecretMemory / 256);  // more than fit
  for (ExpandedKey& key : kept) SetKey(context, key, kKey);
  const Buffer made = Work(context);
  EXPECT_LE(base::SecretMemory().used, ExpandedKey::kSecretMemory);
  EXPECT_TRUE(context.SetKey(kept.front()));
  EXPECT_FALSE(context.SetKey(kept.back()));
  SetKey(context, kept.back(), kKey);
  EXPECT_EQ(Work(context), made);
  kept.erase(kept.begin());
  SetKey(context, kept.back(), kKey);
  EXPECT_TRUE(context.SetKey(kept.back())) << "where another has left";
}

TYPED_TEST(ExpandedKeys, AreKeptFromTheFirstSettingOn) {
  TypeParam context;
  ExpandedKey kept;
  SetKey(context, kept, kKey);
  const Buffer made = Work(context);
  context.Clear();
  SetKey(context, kept, kOther);  // not looked at, as a key is kept
  EXPECT_EQ(Work(context), made);
}

}  // namespace
}  // namespace trustpoint::crypto
