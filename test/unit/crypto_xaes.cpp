#include <gtest/gtest.h>

#include <openssl/evp.h>

#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "crypto/gcm.hpp"
#include "crypto/short_gcm.hpp"
#include "crypto/xaes.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::crypto {
namespace {

using test::Buffer;

// XAES-256-GCM whole, from the parts that the room offers: each text takes the way that its length has in the
// product.
class Xaes {
 public:
  Buffer Seal(base::Bytes key, base::Bytes nonce, base::Bytes plaintext, base::Bytes aad) {
    base::Block<kKeySize> derived;
    deriver_.SetKey(key);
    deriver_.Derive(nonce.first(kXaesPrefixSize), derived);
    return plaintext.size() <= kShortGcmMax ? SealWith(short_sealer_, derived, nonce, plaintext, aad)
                                            : SealWith(sealer_, derived, nonce, plaintext, aad);
  }

 private:
  static Buffer SealWith(auto& sealer, base::Bytes derived, base::Bytes nonce, base::Bytes plaintext,
                         base::Bytes aad) {
    sealer.SetKey(derived);
    Buffer sealed(plaintext.size() + kTagSize);
    const base::MutableBytes out(sealed);
    sealer.Seal(nonce.subspan(kXaesPrefixSize), aad, {}, plaintext, out.first(plaintext.size()),
                out.last(kTagSize));
    return sealed;
  }

  XaesDeriver deriver_;
  GcmSealer sealer_;
  ShortGcmSealer short_sealer_;
};

using Digest = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

Digest Shake128() {
  Digest digest(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EXPECT_EQ(EVP_DigestInit_ex(digest.get(), EVP_shake128(), nullptr), 1);
  return digest;
}

// A round draws on average 313 bytes and at most 568. OpenSSL 3.0 squeezes once, so all are drawn before.
std::string Accumulate(std::size_t rounds) {
  Buffer stream(rounds * 320 + 10000);
  EXPECT_EQ(EVP_DigestFinalXOF(Shake128().get(), stream.data(), stream.size()), 1);
  base::Bytes left(stream);
  const auto take = [&left](std::size_t size) {
    const base::Bytes taken = left.first(size);
    left = left.subspan(size);
    return taken;
  };
  const Digest result = Shake128();
  Xaes xaes;
  for (std::size_t round = 0; round < rounds; ++round) {
    if (left.size() < 568) throw std::runtime_error("the stream is too short");
    const base::Bytes key = take(kKeySize);
    const base::Bytes nonce = take(kXaesNonceSize);
    const base::Bytes plaintext = take(take(1)[0]);
    const base::Bytes aad = take(take(1)[0]);
    const Buffer sealed = xaes.Seal(key, nonce, plaintext, aad);
    EVP_DigestUpdate(result.get(), sealed.data(), sealed.size());
  }
  Buffer hash(32);
  EXPECT_EQ(EVP_DigestFinalXOF(result.get(), hash.data(), hash.size()), 1);
  return test::ToHex(hash);
}

TEST(Xaes, SealsTheVectorsOfTheSpecification) {
  const base::Bytes nonce = base::AsBytes("ABCDEFGHIJKLMNOPQRSTUVWX");
  const base::Bytes plaintext = base::AsBytes("XAES-256-GCM");
  Xaes xaes;
  EXPECT_EQ(test::ToHex(xaes.Seal(Buffer(32, 1), nonce, plaintext, {})),
            "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271");
  EXPECT_EQ(test::ToHex(xaes.Seal(Buffer(32, 3), nonce, plaintext, base::AsBytes("c2sp.org/XAES-256-GCM"))),
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d");
}

TEST(Xaes, AccumulatesTenThousandRoundsToThePublishedHash) {
  EXPECT_EQ(Accumulate(10000), "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
}

TEST(Xaes, AccumulatesAMillionRoundsToThePublishedHash) {
  EXPECT_EQ(Accumulate(1000000), "2163ae1445985a30b60585ee67daa55674df06901b890593e824b8a7c885ab15");
}

TEST(XaesDeriver, DerivesTheSameAgainAndAnotherKeyForAnotherPrefix) {
  XaesDeriver deriver;
  deriver.SetKey(Buffer(32, 1));
  base::Block<kKeySize> first;
  base::Block<kKeySize> other;
  base::Block<kKeySize> again;
  deriver.Derive(Buffer(kXaesPrefixSize, 1), first);
  deriver.Derive(Buffer(kXaesPrefixSize, 2), other);
  deriver.Derive(Buffer(kXaesPrefixSize, 1), again);
  EXPECT_EQ(first, again);
  EXPECT_NE(first, other);
}

TEST(XaesDeriver, WithoutAKeyThrowsAndServesAgainOnceKeyed) {
  XaesDeriver deriver;
  const Buffer prefix(kXaesPrefixSize);
  base::Block<kKeySize> derived;
  EXPECT_THROW(deriver.Derive(prefix, derived), base::Error);
  deriver.SetKey(Buffer(32, 1));
  EXPECT_TRUE(deriver.keyed());
  deriver.Clear();
  deriver.Clear();
  EXPECT_FALSE(deriver.keyed());
  EXPECT_THROW(deriver.Derive(prefix, derived), base::Error);
  deriver.SetKey(Buffer(32, 1));
  EXPECT_NO_THROW(deriver.Derive(prefix, derived));
}

TEST(XaesDeriver, RefusesKeysPrefixesAndBuffersOfTheWrongSize) {
  XaesDeriver deriver;
  EXPECT_THROW(deriver.SetKey(Buffer(16)), base::Error);
  EXPECT_FALSE(deriver.keyed());
  deriver.SetKey(Buffer(32));
  Buffer derived(32);
  EXPECT_THROW(deriver.Derive(Buffer(11), derived), base::Error);
  EXPECT_THROW(deriver.Derive(Buffer(24), derived), base::Error);
  EXPECT_THROW(deriver.Derive(Buffer(12), base::MutableBytes(derived).first(16)), base::Error);
}

}  // namespace
}  // namespace trustpoint::crypto
