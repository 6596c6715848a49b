#include <gtest/gtest.h>

#include <openssl/evp.h>

#include <algorithm>
#include <memory>

#include "base/error.hpp"
#include "crypto/gcm.hpp"
#include "crypto/short_gcm.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::crypto {
namespace {

using test::Buffer;

const Buffer kKey(kKeySize, 0x11);
const Buffer kNonce(kGcmNonceSize, 0x22);

struct Sealed {
  Buffer ciphertext;
  Buffer tag;
  bool operator==(const Sealed&) const = default;
};

Sealed Seal(auto& sealer, base::Bytes head, base::Bytes tail, base::Bytes plaintext) {
  Sealed sealed{Buffer(plaintext.size()), Buffer(kTagSize)};
  sealer.Seal(kNonce, head, tail, plaintext, sealed.ciphertext, sealed.tag);
  return sealed;
}

Sealed Seal(base::Bytes head, base::Bytes tail, base::Bytes plaintext) {
  GcmSealer sealer;
  sealer.SetKey(kKey);
  return Seal(sealer, head, tail, plaintext);
}

base::ErrorCode CodeOf(auto&& body) {
  try {
    body();
  } catch (const base::Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

// The way for short texts must be the same AES-256-GCM, byte for byte, in both directions.
TEST(Gcm, ShortTextsAreSealedAndOpenedAsAllOthers) {
  GcmOpener opener;
  ShortGcmSealer short_sealer;
  ShortGcmOpener short_opener;
  opener.SetKey(kKey);
  short_sealer.SetKey(kKey);
  short_opener.SetKey(kKey);
  for (std::size_t size = 0; size <= kShortGcmMax; ++size)
    for (const std::size_t aad : {0U, 1U, 8U, 16U, 29U, 300U}) {
      Buffer plaintext(size);
      for (std::size_t i = 0; i < size; ++i) plaintext[i] = static_cast<std::uint8_t>(i * 7 + 1);
      const Buffer tail(aad, 'a');
      const Sealed expected = Seal(base::AsBytes("head"), tail, plaintext);
      Sealed sealed{Buffer(size), Buffer(kTagSize)};
      short_sealer.Seal(kNonce, base::AsBytes("head"), tail, plaintext, sealed.ciphertext, sealed.tag);
      ASSERT_EQ(sealed, expected) << size << " " << aad;
      Buffer opened(size);
      ASSERT_TRUE(
          short_opener.Open(kNonce, base::AsBytes("head"), tail, sealed.ciphertext, sealed.tag, opened));
      ASSERT_EQ(opened, plaintext);
      Buffer in_place = plaintext;
      short_sealer.Seal(kNonce, base::AsBytes("head"), tail, in_place, in_place, sealed.tag);
      ASSERT_EQ(in_place, expected.ciphertext);
    }
}

// Where nonces follow one another, the key streams of later texts are made ahead: whatever the sizes,
// wherever the row of nonces breaks off, and where it ends and begins anew.
TEST(Gcm, ShortTextsInARowAreSealedAndOpenedAsAllOthers) {
  GcmSealer sealer;
  ShortGcmSealer short_sealer;
  ShortGcmOpener short_opener;
  std::uint32_t seed = 1;
  const auto random = [&](std::uint32_t bound) { return (seed = seed * 1103515245 + 12345) / 65536 % bound; };
  Buffer nonce(kGcmNonceSize, 0xFF);
  nonce.back() = 0xF0;
  for (int i = 0; i < 5000; ++i) {
    if (random(50) == 0) nonce[random(kGcmNonceSize)] ^= 0x40;
    if (i % 1000 == 0) {
      const Buffer key(kKeySize, static_cast<std::uint8_t>(i / 1000));
      sealer.SetKey(key);
      short_sealer.SetKey(key);
      if (i % 2000 == 0) short_opener.Clear();
      short_opener.SetKey(key);
    }
    const Buffer plaintext(i % 100 < 50 ? 64 : random(kShortGcmMax + 1), 'p');
    Sealed expected{Buffer(plaintext.size()), Buffer(kTagSize)}, sealed = expected;
    sealer.Seal(nonce, {}, {}, plaintext, expected.ciphertext, expected.tag);
    short_sealer.Seal(nonce, {}, {}, plaintext, sealed.ciphertext, sealed.tag);
    ASSERT_EQ(sealed, expected) << i;
    Buffer opened(plaintext.size());
    sealed.tag[3] ^= 1;
    if (random(10) == 0) {
      ASSERT_FALSE(short_opener.Open(nonce, {}, {}, sealed.ciphertext, sealed.tag, opened));
    }
    sealed.tag[3] ^= 1;
    ASSERT_TRUE(short_opener.Open(nonce, {}, {}, sealed.ciphertext, sealed.tag, opened)) << i;
    ASSERT_EQ(opened, plaintext);
    base::Increment(nonce);
  }
}

TEST(Gcm, AFailedOpenOfAShortTextWipesTheOutput) {
  ShortGcmOpener opener;
  opener.SetKey(kKey);
  for (const std::size_t size : {0U, 1U, 16U, 100U, 512U}) {
    const Buffer plaintext(size, 'p');
    Sealed sealed = Seal(base::AsBytes("head"), {}, plaintext);
    const auto open = [&](std::string_view head) {
      Buffer opened(size, 'x');
      const bool authentic =
          opener.Open(kNonce, base::AsBytes(head), {}, sealed.ciphertext, sealed.tag, opened);
      EXPECT_EQ(opened, authentic ? plaintext : Buffer(size));
      return authentic;
    };
    EXPECT_FALSE(open("other"));
    for (std::size_t bit = 0; bit < 8 * size; ++bit) {
      sealed.ciphertext[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
      EXPECT_FALSE(open("head"));
      sealed.ciphertext[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    }
    for (std::size_t bit = 0; bit < 8 * kTagSize; ++bit) {
      sealed.tag[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
      EXPECT_FALSE(open("head"));
      sealed.tag[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    }
    EXPECT_TRUE(open("head"));
  }
}

TEST(Gcm, OpensWhatWasSealed) {
  GcmOpener opener;
  opener.SetKey(kKey);
  for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 1000U, 10000U}) {
    const Buffer plaintext(size, 'p');
    const Sealed sealed = Seal(base::AsBytes("head"), base::AsBytes("tail"), plaintext);
    Buffer opened(size);
    EXPECT_TRUE(opener.Open(kNonce, base::AsBytes("head"), base::AsBytes("tail"), sealed.ciphertext,
                            sealed.tag, opened));
    EXPECT_EQ(opened, plaintext);
  }
}

// Short parts are joined before they are handed over and long ones are not.
TEST(Gcm, AuthenticatesBothPartsOfTheAadAsOneText) {
  for (const std::size_t size : {2U, 8U, 255U, 256U, 257U, 1000U}) {
    const Buffer aad(size, 'a');
    const base::Bytes whole(aad);
    const Sealed expected = Seal(whole, {}, kNonce);
    EXPECT_EQ(Seal({}, whole, kNonce), expected) << size;
    for (const std::size_t head : {std::size_t{1}, size / 2, size - 1})
      EXPECT_EQ(Seal(whole.first(head), whole.subspan(head), kNonce), expected) << size << " " << head;
  }
}

TEST(Gcm, ContextServesManyValuesUnderOneKey) {
  GcmSealer sealer;
  sealer.SetKey(kKey);
  const Sealed first = Seal(sealer, {}, {}, base::AsBytes("value"));
  Seal(sealer, base::AsBytes("other"), {}, {});
  EXPECT_EQ(Seal(sealer, {}, {}, base::AsBytes("value")), first);
}

// Our code feeds OpenSSL at most 2^29 bytes at once; what it makes of them must be one value to whoever does
// not.
TEST(Gcm, SealsATextLargerThanOneUpdateAsOne) {
  Buffer text((std::size_t{1} << 29) + 17, 'p');
  Buffer tag(kTagSize);
  GcmSealer sealer;
  sealer.SetKey(kKey);
  sealer.Seal(kNonce, {}, {}, text, text, tag);
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> bare(EVP_CIPHER_CTX_new(),
                                                                             EVP_CIPHER_CTX_free);
  int size = 0;
  EVP_DecryptInit_ex(bare.get(), EVP_aes_256_gcm(), nullptr, kKey.data(), kNonce.data());
  EVP_DecryptUpdate(bare.get(), text.data(), &size, text.data(), static_cast<int>(text.size()));
  EVP_CIPHER_CTX_ctrl(bare.get(), EVP_CTRL_AEAD_SET_TAG, kTagSize, tag.data());
  EXPECT_EQ(EVP_DecryptFinal_ex(bare.get(), tag.data(), &size), 1);
  EXPECT_EQ(std::count(text.begin(), text.end(), 'p'), static_cast<std::ptrdiff_t>(text.size()));
}

TEST(Gcm, AFailedOpenWipesTheOutputAndLeavesTheContextUsable) {
  const Buffer plaintext(1000, 'p');
  Sealed sealed = Seal({}, {}, plaintext);
  GcmOpener opener;
  opener.SetKey(kKey);
  Buffer opened(plaintext.size(), 'x');
  sealed.tag[0] ^= 1;
  EXPECT_FALSE(opener.Open(kNonce, {}, {}, sealed.ciphertext, sealed.tag, opened));
  EXPECT_EQ(opened, Buffer(plaintext.size(), 0));
  sealed.tag[0] ^= 1;
  EXPECT_TRUE(opener.Open(kNonce, {}, {}, sealed.ciphertext, sealed.tag, opened));
  EXPECT_EQ(opened, plaintext);
}

template <class Sealer, class Opener>
struct Ways {
  using GcmSealer = Sealer;
  using GcmOpener = Opener;
};
template <class Way>
class GcmKeys : public ::testing::Test {};
using EveryWay = ::testing::Types<Ways<GcmSealer, GcmOpener>, Ways<ShortGcmSealer, ShortGcmOpener>>;
TYPED_TEST_SUITE(GcmKeys, EveryWay);

TYPED_TEST(GcmKeys, ContextWithoutAKeyThrows) {
  typename TypeParam::GcmSealer sealer;
  typename TypeParam::GcmOpener opener;
  Buffer tag(kTagSize);
  EXPECT_EQ(CodeOf([&] { sealer.Seal(kNonce, {}, {}, {}, {}, tag); }), base::ErrorCode::kInternal);
  EXPECT_EQ(CodeOf([&] { (void)opener.Open(kNonce, {}, {}, {}, tag, {}); }), base::ErrorCode::kInternal);
}

TYPED_TEST(GcmKeys, ClearedContextThrowsUntilItIsKeyedAgain) {
  typename TypeParam::GcmSealer sealer;
  typename TypeParam::GcmOpener opener;
  sealer.SetKey(kKey);
  opener.SetKey(kKey);
  sealer.Clear();
  opener.Clear();
  EXPECT_FALSE(sealer.keyed());
  EXPECT_FALSE(opener.keyed());
  Buffer tag(kTagSize);
  EXPECT_EQ(CodeOf([&] { sealer.Seal(kNonce, {}, {}, {}, {}, tag); }), base::ErrorCode::kInternal);
  EXPECT_EQ(CodeOf([&] { (void)opener.Open(kNonce, {}, {}, {}, tag, {}); }), base::ErrorCode::kInternal);
  sealer.Clear();
  sealer.SetKey(kKey);
  EXPECT_EQ(Seal(sealer, {}, {}, kNonce), Seal({}, {}, kNonce));
}

TYPED_TEST(GcmKeys, KeysNoncesTagsAndBuffersOfTheWrongSizeThrow) {
  typename TypeParam::GcmSealer sealer;
  for (const std::size_t size : {0U, 16U, 31U, 33U})
    EXPECT_EQ(CodeOf([&] { sealer.SetKey(Buffer(size)); }), base::ErrorCode::kInternal);
  EXPECT_FALSE(sealer.keyed());
  sealer.SetKey(kKey);
  Buffer out(16);
  EXPECT_EQ(CodeOf([&] { sealer.Seal(Buffer(11), {}, {}, {}, {}, out); }), base::ErrorCode::kInternal);
  EXPECT_EQ(CodeOf([&] { sealer.Seal(kNonce, {}, {}, {}, {}, base::MutableBytes(out).first(15)); }),
            base::ErrorCode::kInternal);
  EXPECT_EQ(CodeOf([&] { sealer.Seal(kNonce, {}, {}, kNonce, out, out); }), base::ErrorCode::kInternal);
}

}  // namespace
}  // namespace trustpoint::crypto
