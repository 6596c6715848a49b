// Sealer and Opener: what goes in comes back, nonces count, keys go with the transaction.
#include <gtest/gtest.h>

#include <optional>
#include <set>

#include "crypto/random.hpp"
#include "keyring/opener.hpp"
#include "keyring/sealer.hpp"
#include "unit/keyring_fixture.hpp"

namespace trustpoint::test {
namespace {

using envelope::Suite;
using keyring::Dek;
using keyring::Opener;
using keyring::Sealer;

constexpr std::uint32_t kId = 0x01020304;
const base::Bytes kContext = base::AsBytes("users:17");

Buffer Pattern(std::size_t size) {
  Buffer bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 37 + 11);
  return bytes;
}

Buffer Seal(Sealer& sealer, const Dek& dek, Suite suite, base::Bytes plaintext = {},
            base::Bytes context = kContext) {
  Buffer stored(plaintext.size() + envelope::Overhead(suite));
  sealer.Seal(dek, suite, kId, context, plaintext, stored);
  return stored;
}

std::optional<Buffer> Open(Opener& opener, const Dek& dek, const Buffer& stored,
                           base::Bytes context = kContext) {
  const auto value = envelope::Parse(stored);
  if (!value) return std::nullopt;
  Buffer plaintext(value->ciphertext.size(), 0xAA);
  if (opener.Open(dek, *value, context, plaintext)) return plaintext;
  EXPECT_EQ(plaintext, Buffer(plaintext.size())) << "a refused value leaves no byte";
  return std::nullopt;
}

Buffer NonceOf(const Buffer& stored) {
  const auto nonce = envelope::Parse(stored)->nonce;
  return {nonce.begin(), nonce.end()};
}

Buffer PrefixOf(const Buffer& stored) {
  Buffer nonce = NonceOf(stored);
  nonce.resize(12);
  return nonce;
}

class KeyringSealing : public ::testing::TestWithParam<Suite> {
 protected:
  Suite suite() const { return GetParam(); }
  Dek dek_ = DataDek();
  Sealer sealer_;
  Opener opener_;
};

INSTANTIATE_TEST_SUITE_P(Suites, KeyringSealing, ::testing::Values(Suite::kXaes256Gcm, Suite::kAes256Gcm),
                         [](const auto& parameter) {
                           return parameter.param == Suite::kXaes256Gcm ? "Xaes" : "Aes";
                         });

TEST_P(KeyringSealing, WhatIsSealedOpensAtEverySize) {
  for (const std::size_t size :
       {0, 1, 15, 16, 17, 255, 256, 257, 511, 512, 513, 1000, 1024, 4096, 10000, 1 << 20}) {
    const Buffer plaintext = Pattern(size);
    const Buffer stored = Seal(sealer_, dek_, suite(), plaintext);
    EXPECT_EQ(stored.size(), size + envelope::Overhead(suite()));
    EXPECT_EQ(Open(opener_, dek_, stored), plaintext) << size;
  }
}

TEST_P(KeyringSealing, ContextsOfEverySizeAreAuthenticated) {
  for (const std::size_t size : {0, 1, 8, 13, 247, 248, 249, 1000, 100000}) {
    Buffer context = Pattern(size);
    const Buffer stored = Seal(sealer_, dek_, suite(), Pattern(20), context);
    EXPECT_EQ(Open(opener_, dek_, stored, context), Pattern(20)) << size;
    context.push_back(0);
    EXPECT_FALSE(Open(opener_, dek_, stored, context)) << size;
    if (size == 0) continue;
    context.pop_back();
    context.back() ^= 1;
    EXPECT_FALSE(Open(opener_, dek_, stored, context)) << size;
  }
}

TEST_P(KeyringSealing, SealsInPlace) {
  const Buffer plaintext = Pattern(777);
  Buffer stored(plaintext.size() + envelope::Overhead(suite()));
  const base::MutableBytes slot = envelope::Lay(suite(), kId, stored).ciphertext;
  base::Copy(slot, plaintext);
  sealer_.Seal(dek_, suite(), kId, kContext, slot, stored);
  EXPECT_EQ(Open(opener_, dek_, stored), plaintext);
}

TEST_P(KeyringSealing, AnyChangedByteIsRefusedAndNothingIsLeftOfThePlaintext) {
  const Buffer stored = Seal(sealer_, dek_, suite(), Pattern(40));
  for (std::size_t i = 0; i < stored.size(); ++i) {
    Buffer changed = stored;
    changed[i] ^= 0x10;
    EXPECT_FALSE(Open(opener_, dek_, changed)) << "byte " << i;
  }
  EXPECT_TRUE(Open(opener_, dek_, stored)) << "the good one still opens after so many bad ones";
}

TEST_P(KeyringSealing, AnotherDekRefuses) {
  const Dek other = DataDek("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  const Buffer stored = Seal(sealer_, dek_, suite(), Pattern(40));
  EXPECT_FALSE(Open(opener_, other, stored));
  EXPECT_TRUE(Open(opener_, dek_, stored));
  EXPECT_FALSE(Open(opener_, other, stored)) << "a kept key is not taken for another DEK's";
}

TEST_P(KeyringSealing, DeksAndSuitesMayAlternate) {
  const Dek other = DataDek("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
  const Suite other_suite = suite() == Suite::kXaes256Gcm ? Suite::kAes256Gcm : Suite::kXaes256Gcm;
  std::vector<Buffer> mine, others, of_other_suite;
  for (int i = 0; i < 5; ++i) {
    mine.push_back(Seal(sealer_, dek_, suite(), Pattern(i)));
    others.push_back(Seal(sealer_, other, suite(), Pattern(i)));
    of_other_suite.push_back(Seal(sealer_, dek_, other_suite, Pattern(i)));
  }
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(Open(opener_, dek_, mine[i]), Pattern(i));
    EXPECT_EQ(Open(opener_, other, others[i]), Pattern(i));
    EXPECT_EQ(Open(opener_, dek_, of_other_suite[i]), Pattern(i));
  }
}

TEST_P(KeyringSealing, NoncesOfOneTransactionCountUp) {
  Buffer last = NonceOf(Seal(sealer_, dek_, suite()));
  for (int i = 0; i < 1000; ++i) {
    const Buffer next = NonceOf(Seal(sealer_, dek_, suite()));
    Buffer expected = last;
    for (std::size_t byte = expected.size(); byte-- > expected.size() - 12;)
      if (++expected[byte] != 0) break;
    EXPECT_EQ(next, expected);
    last = next;
  }
}

TEST_P(KeyringSealing, TheCounterCarriesThroughAllTwelveBytesAndNeverIntoThePrefix) {
  const Buffer start = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE};
  const ScriptedRandom random([&](base::MutableBytes out) {
    std::fill(out.begin(), out.end(), 0x77);
    base::Copy(out.last(12), start);
  });
  const Buffer last = Seal(sealer_, dek_, suite(), Pattern(9));
  const Buffer wrapped = Seal(sealer_, dek_, suite(), Pattern(9));
  const Buffer after = Seal(sealer_, dek_, suite(), Pattern(9));
  const std::string prefix = suite() == Suite::kXaes256Gcm ? "777777777777777777777777" : "";
  EXPECT_EQ(ToHex(NonceOf(last)), prefix + "ffffffffffffffffffffffff");
  EXPECT_EQ(ToHex(NonceOf(wrapped)), prefix + "000000000000000000000000");
  EXPECT_EQ(ToHex(NonceOf(after)), prefix + "000000000000000000000001");
  for (const Buffer& stored : {last, wrapped, after}) EXPECT_EQ(Open(opener_, dek_, stored), Pattern(9));
}

TEST_P(KeyringSealing, AFailureOfTheKernelsGeneratorSealsNothing) {
  (void)Seal(sealer_, dek_, suite());
  sealer_.EndTransaction();
  {
    const ScriptedRandom random([](base::MutableBytes) { throw std::runtime_error("no random bytes"); });
    EXPECT_ANY_THROW(Seal(sealer_, dek_, suite()));
  }
  EXPECT_TRUE(Open(opener_, dek_, Seal(sealer_, dek_, suite())));
}

TEST_P(KeyringSealing, EveryTransactionBeginsAnew) {
  std::set<Buffer> prefixes;
  for (int i = 0; i < 100; ++i) {
    const Buffer first = Seal(sealer_, dek_, suite(), Pattern(5)),
                 second = Seal(sealer_, dek_, suite(), Pattern(5));
    prefixes.insert(PrefixOf(first));
    EXPECT_EQ(PrefixOf(first) == PrefixOf(second), suite() == Suite::kXaes256Gcm);
    sealer_.EndTransaction();
    opener_.EndTransaction();
    EXPECT_EQ(Open(opener_, dek_, second), Pattern(5)) << "after the end a context is keyed again";
  }
  EXPECT_EQ(prefixes.size(), 100u);
}

TEST_P(KeyringSealing, EndingATransactionTwiceOrUnusedDoesNoHarm) {
  sealer_.EndTransaction();
  opener_.EndTransaction();
  const Buffer stored = Seal(sealer_, dek_, suite(), Pattern(5));
  EXPECT_TRUE(Open(opener_, dek_, stored));
  for (int i = 0; i < 2; ++i) {
    sealer_.EndTransaction();
    opener_.EndTransaction();
  }
  EXPECT_TRUE(Open(opener_, dek_, stored));
}

// A key outlives the transaction: the opener must not take it for another value's.
TEST_P(KeyringSealing, ValuesOfTwoTransactionsOpenInAnyTransaction) {
  const Dek other = DataDek();
  Buffer stored[4];
  for (Buffer& value : stored) {
    value = Seal(sealer_, &value < stored + 2 ? dek_ : other, suite(), Pattern(5));
    sealer_.EndTransaction();
  }
  for (const int i : {0, 0, 1, 2, 0, 3, 3, 2, 1}) {
    EXPECT_EQ(Open(opener_, i < 2 ? dek_ : other, stored[i]), Pattern(5));
    opener_.EndTransaction();
  }
}

TEST_P(KeyringSealing, WhatContextsKeepOfADekDiesWithIt) {
  const std::size_t before = base::SecretMemory().used;
  {
    const Dek other = DataDek();
    const std::size_t keys = base::SecretMemory().used;
    const Buffer stored = Seal(sealer_, other, suite(), Pattern(5));
    EXPECT_TRUE(Open(opener_, other, stored));
    sealer_.EndTransaction();
    opener_.EndTransaction();
    const std::size_t kept = base::SecretMemory().used;
    EXPECT_GT(kept, keys);
    EXPECT_TRUE(Open(opener_, other, stored));
    EXPECT_TRUE(Open(opener_, other, Seal(sealer_, other, suite(), Pattern(5))));
    EXPECT_EQ(base::SecretMemory().used, kept) << "one of each";
  }
  EXPECT_EQ(base::SecretMemory().used, before);
}

// A refused value must not leave the opener with a key that belongs to no value.
TEST_P(KeyringSealing, AfterARefusalTheNextValueOpens) {
  const Buffer first = Seal(sealer_, dek_, suite(), Pattern(5));
  sealer_.EndTransaction();
  const Buffer second = Seal(sealer_, dek_, suite(), Pattern(6));
  EXPECT_TRUE(Open(opener_, dek_, first));
  Buffer changed = second;
  changed.back() ^= 1;
  EXPECT_FALSE(Open(opener_, dek_, changed));
  EXPECT_TRUE(Open(opener_, dek_, second));
  EXPECT_TRUE(Open(opener_, dek_, first));
}

TEST(KeyringSealer, APrefixIsRenewedAfterTwoToTheTwentyValues) {
  const Dek dek = DataDek();
  Sealer sealer;
  Buffer stored(envelope::Overhead(Suite::kXaes256Gcm));
  sealer.Seal(dek, Suite::kXaes256Gcm, kId, {}, {}, stored);
  const Buffer prefix = PrefixOf(stored);
  for (int i = 1; i < 1 << 20; ++i) sealer.Seal(dek, Suite::kXaes256Gcm, kId, {}, {}, stored);
  EXPECT_EQ(PrefixOf(stored), prefix);
  sealer.Seal(dek, Suite::kXaes256Gcm, kId, {}, {}, stored);
  EXPECT_NE(PrefixOf(stored), prefix);
}

TEST(KeyringSealer, ValuesOfTheSameDekInTwoProcessesShareNoPrefix) {
  const Dek dek = DataDek();
  Sealer one, another;
  EXPECT_NE(PrefixOf(Seal(one, dek, Suite::kXaes256Gcm)), PrefixOf(Seal(another, dek, Suite::kXaes256Gcm)));
}

TEST(KeyringSealer, ADekThatWasUnwrappedAgainBeginsAnew) {
  const Dek first = DataDek(), again = DataDek();
  Sealer sealer;
  EXPECT_NE(PrefixOf(Seal(sealer, first, Suite::kXaes256Gcm)),
            PrefixOf(Seal(sealer, again, Suite::kXaes256Gcm)));
}

}  // namespace
}  // namespace trustpoint::test
