// Looks for keys in the process's memory, outside the arena of Secrets: there while a context is keyed, so
// that the look is known to see them, and gone once it is cleared.
#include <gtest/gtest.h>

#define OPENSSL_SUPPRESS_DEPRECATED  // for SHA-256's inner state
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <memory>
#include <vector>

#include "base/secret.hpp"
#include "crypto/gcm.hpp"
#include "crypto/hmac.hpp"
#include "crypto/kdf.hpp"
#include "crypto/prepare.hpp"
#include "crypto/random.hpp"
#include "crypto/short_gcm.hpp"
#include "crypto/xaes.hpp"
#include "unit/process_memory.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::crypto {
namespace {

using base::Secret;

constexpr std::size_t kHalf = 16;
const test::Buffer kPrefix(kXaesPrefixSize, 0x33);
const test::Buffer kNonce(kGcmNonceSize, 0x44);

// How often any half of the secret stands in ordinary memory.
std::size_t Traces(const Secret& secret) {
  const test::ProcessMemory memory;
  std::size_t count = 0;
  for (std::size_t at = 0; at + kHalf <= secret.size(); at += kHalf)
    count += memory.Count(secret.view().subspan(at, kHalf));
  return count;
}

// What OpenSSL makes of a key apart from round keys: AES of the zero block, which is GCM's hash key and the
// start of CMAC's subkeys; both subkeys; the hash key with its words turned, as GCM keeps it; and its product
// with x, bits reflected, as carry-less multiplication wants it. From OpenSSL 3.2 on a processor with AVX-512
// has only the last.
[[gnu::noinline]] std::vector<Secret> ComputeOffspring(const Secret& key) {
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(EVP_CIPHER_CTX_new(),
                                                                                EVP_CIPHER_CTX_free);
  std::vector<Secret> found;
  Secret& block = found.emplace_back(kHalf);
  int size = 0;
  EVP_EncryptInit_ex(context.get(), EVP_aes_256_ecb(), nullptr, key.view().data(), nullptr);
  EVP_CIPHER_CTX_set_padding(context.get(), 0);
  const std::uint8_t zeros[kHalf] = {};
  EXPECT_EQ(EVP_EncryptUpdate(context.get(), block.bytes().data(), &size, zeros, kHalf), 1);
  EXPECT_EQ(size, static_cast<int>(kHalf));

  for (int subkey = 0; subkey < 2; ++subkey) {  // doubling in GF(2^128)
    Secret doubled(found.back().view());
    const base::MutableBytes bytes = doubled.bytes();
    const unsigned carry = bytes[0] >> 7;
    for (std::size_t i = 0; i < kHalf; ++i)
      bytes[i] = static_cast<std::uint8_t>(bytes[i] << 1 | (i + 1 < kHalf ? bytes[i + 1] >> 7 : 0));
    bytes[kHalf - 1] = static_cast<std::uint8_t>(bytes[kHalf - 1] ^ carry * 0x87);
    found.push_back(std::move(doubled));
  }
  Secret turned(found.front().view());
  std::ranges::reverse(turned.bytes().first(kHalf / 2));
  std::ranges::reverse(turned.bytes().last(kHalf / 2));
  found.push_back(std::move(turned));

  Secret product(found.front().view());
  const base::MutableBytes bytes = product.bytes();
  std::ranges::reverse(bytes);
  const unsigned carry = bytes[kHalf - 1] >> 7;
  for (std::size_t i = kHalf; i-- > 0;)
    bytes[i] = static_cast<std::uint8_t>(bytes[i] << 1 | (i > 0 ? bytes[i - 1] >> 7 : 0));
  bytes[0] = static_cast<std::uint8_t>(bytes[0] ^ carry);
  bytes[kHalf - 1] = static_cast<std::uint8_t>(bytes[kHalf - 1] ^ carry * 0xC2);
  found.push_back(std::move(product));
  return found;
}

std::size_t Traces(const std::vector<Secret>& secrets) {
  std::size_t count = 0;
  for (const Secret& secret : secrets) count += Traces(secret);
  return count;
}

// A symbol that is bound at its first call has the linker save the registers on the stack, and what is in
// them. So all is called once before there is a key: by the extension for what it calls itself, and here for
// what the test calls.
Secret RandomKey() {
  Prepare();
  (void)Traces(ComputeOffspring(Secret(kKeySize)));
  Secret key(kKeySize);
  Random(key.bytes());
  return key;
}

// What the computation itself has left on the stack is gone before anything is looked for.
[[gnu::noinline]] void WipeStack() {
  std::uint8_t below[16384];
  OPENSSL_cleanse(below, sizeof below);
}

std::vector<Secret> Offspring(const Secret& key) {
  std::vector<Secret> found = ComputeOffspring(key);
  WipeStack();
  return found;
}

TEST(Traces, OfAKeyAreSeenWhileASealerHoldsItAndGoneOnceItIsCleared) {
  const Secret key = RandomKey();
  const std::vector<Secret> offspring = Offspring(key);
  GcmSealer sealer;
  sealer.SetKey(key.view());
  test::Buffer out(100);
  test::Buffer tag(kTagSize);
  sealer.Seal(kNonce, kPrefix, {}, test::Buffer(100), out, tag);
  EXPECT_GT(Traces(key), 0U);
  EXPECT_GT(Traces(offspring), 0U);
  sealer.Clear();
  EXPECT_EQ(Traces(key), 0U);
  EXPECT_EQ(Traces(offspring), 0U);
}

TEST(Traces, OfAKeyAreSeenWhileAnOpenerHoldsItAndGoneOnceItIsCleared) {
  const Secret key = RandomKey();
  const std::vector<Secret> offspring = Offspring(key);
  GcmOpener opener;
  opener.SetKey(key.view());
  test::Buffer out(100);
  EXPECT_FALSE(opener.Open(kNonce, kPrefix, {}, test::Buffer(100), test::Buffer(kTagSize), out));
  EXPECT_GT(Traces(key), 0U);
  EXPECT_GT(Traces(offspring), 0U);
  opener.Clear();
  EXPECT_EQ(Traces(key), 0U);
  EXPECT_EQ(Traces(offspring), 0U);
}

TEST(Traces, OfAKeyAreSeenWhileAContextForShortTextsHoldsItAndGoneOnceItIsCleared) {
  const Secret key = RandomKey();
  const std::vector<Secret> offspring = Offspring(key);
  ShortGcmSealer sealer;
  ShortGcmOpener opener;
  sealer.SetKey(key.view());
  opener.SetKey(key.view());
  test::Buffer out(100);
  test::Buffer tag(kTagSize);
  sealer.Seal(kNonce, kPrefix, {}, test::Buffer(100), out, tag);
  EXPECT_FALSE(opener.Open(kNonce, kPrefix, {}, out, test::Buffer(kTagSize), out));
  EXPECT_GT(Traces(key), 0U);
  EXPECT_GT(Traces(offspring), 0U);
  sealer.Clear();
  opener.Clear();
  EXPECT_EQ(Traces(key), 0U);
  EXPECT_EQ(Traces(offspring), 0U);
}

// With a ciphertext they are the plaintext. They are made ahead, for texts that may never come.
TEST(Traces, OfKeyStreamsAreSeenUntilTheContextIsCleared) {
  const Secret key = RandomKey();
  Secret stream(4 * kHalf);  // what zeros are sealed to, under the nonce after the next
  test::Buffer nonce = kNonce, out(64), tag(kTagSize);
  nonce.back() += 2;
  GcmSealer sealer;
  sealer.SetKey(key.view());
  sealer.Seal(nonce, kPrefix, {}, out, stream.bytes(), tag);
  sealer.Clear();
  ShortGcmSealer short_sealer;
  short_sealer.SetKey(key.view());
  for (nonce = kNonce; nonce.back() < kNonce.back() + 2; ++nonce.back())
    short_sealer.Seal(nonce, kPrefix, {}, test::Buffer(64), out, tag);
  EXPECT_GT(Traces(stream), 0U);
  short_sealer.Clear();
  EXPECT_EQ(Traces(stream), 0U);
}

TEST(Traces, OfAKeyAreSeenWhileADeriverHoldsItAndGoneOnceItIsCleared) {
  const Secret key = RandomKey();
  const std::vector<Secret> offspring = Offspring(key);
  Secret derived(kKeySize);
  XaesDeriver deriver;
  deriver.SetKey(key.view());
  deriver.Derive(kPrefix, derived.bytes());
  EXPECT_GT(Traces(key), 0U);
  EXPECT_EQ(Traces(derived), 0U);
  EXPECT_GT(Traces(offspring), 0U);
  deriver.Clear();
  EXPECT_EQ(Traces(key), 0U);
  EXPECT_EQ(Traces(derived), 0U);
  EXPECT_EQ(Traces(offspring), 0U);
}

// A signal saves the registers on the stack, where they stay until something else comes by.
TEST(Traces, OfADerivedKeyAreNotInTheRegisters) {
  const Secret key = RandomKey();
  Secret derived(kKeySize);
  XaesDeriver deriver;
  deriver.SetKey(key.view());
  auto* const before = std::signal(SIGUSR1, [](int) {});
  deriver.Derive(kPrefix, derived.bytes());
  std::raise(SIGUSR1);
  std::signal(SIGUSR1, before);
  EXPECT_EQ(Traces(derived), 0U);
}

// The state of a hash that has taken in the key and one of HMAC's pads: as good as the key.
Secret HmacState(const Secret& key, std::uint8_t pad) {
  Secret block(SHA256_CBLOCK);
  for (std::size_t i = 0; i < block.size(); ++i)
    block.bytes()[i] = static_cast<std::uint8_t>(pad ^ (i < key.size() ? key.view()[i] : 0));
  Secret context(sizeof(SHA256_CTX));
  auto* hash = reinterpret_cast<SHA256_CTX*>(context.bytes().data());
  SHA256_Init(hash);
  SHA256_Update(hash, block.view().data(), block.size());
  return Secret(base::Bytes(reinterpret_cast<const std::uint8_t*>(hash->h), sizeof hash->h));
}

TEST(Traces, OfAKeyAreSeenWhileAnHmacHoldsItAndGoneOnceItIsCleared) {
  const Secret key = RandomKey();
  const Secret inner = HmacState(key, 0x36), outer = HmacState(key, 0x5c);
  HmacSha256Key hmac;
  hmac.SetKey(key.view());
  (void)hmac.Code({kPrefix});
  EXPECT_GT(Traces(key), 0U);
  EXPECT_GT(Traces(inner), 0U);
  EXPECT_GT(Traces(outer), 0U);
  hmac.Clear();
  EXPECT_EQ(Traces(key), 0U);
  EXPECT_EQ(Traces(inner), 0U);
  EXPECT_EQ(Traces(outer), 0U);
}

TEST(Traces, OfAKeyAreGoneOnceAnotherKeyIsSet) {
  const Secret key = RandomKey();
  const Secret next = RandomKey();
  GcmSealer sealer;
  XaesDeriver deriver;
  sealer.SetKey(key.view());
  deriver.SetKey(key.view());
  sealer.SetKey(next.view());
  deriver.SetKey(next.view());
  EXPECT_EQ(Traces(key), 0U);
  EXPECT_GT(Traces(next), 0U);
}

// What a call has left below the caller's frame on the stack, copied before another writes over it: the
// others here see it only where none does.
[[gnu::noinline, gnu::no_sanitize_address]] void CopyStack(std::uint8_t (&copy)[4096]) {
  const auto* frame = static_cast<const volatile std::uint8_t*>(__builtin_frame_address(0));
  for (std::size_t i = 0; i < sizeof copy; ++i) copy[i] = frame[static_cast<std::ptrdiff_t>(i) - 4096];
}

TEST(Traces, OfWhatAKeyMakesOfZerosAreNotOnTheStackOnceADeriverHasIt) {
  const Secret key = RandomKey();
  const std::vector<Secret> offspring = Offspring(key);
  XaesDeriver deriver;
  WipeStack();
  deriver.SetKey(key.view());
  static std::uint8_t stack[4096];
  CopyStack(stack);
  const base::Bytes zeros = offspring.front().view();
  EXPECT_EQ(std::ranges::search(stack, zeros).begin(), std::end(stack));
}

TEST(Traces, OfAKeyAreGoneOnceItsContextsAreDestroyed) {
  const Secret key = RandomKey();
  const std::vector<Secret> offspring = Offspring(key);
  Secret derived(kKeySize);
  {
    GcmSealer sealer;
    GcmOpener opener;
    ShortGcmSealer short_sealer;
    XaesDeriver deriver;
    sealer.SetKey(key.view());
    opener.SetKey(key.view());
    short_sealer.SetKey(key.view());
    deriver.SetKey(key.view());
    deriver.Derive(kPrefix, derived.bytes());
  }
  EXPECT_EQ(Traces(key), 0U);
  EXPECT_EQ(Traces(derived), 0U);
  EXPECT_EQ(Traces(offspring), 0U);
}

TEST(Traces, OfKeysAreLeftByNeitherHkdfNorHmac) {
  const Secret key = RandomKey();
  Secret derived(kKeySize);
  HkdfSha256(key.view(), "trustpoint check v1", derived.bytes());
  HmacSha256(key.view(), {kPrefix});
  EXPECT_EQ(Traces(key), 0U);
  EXPECT_EQ(Traces(derived), 0U);
}

}  // namespace
}  // namespace trustpoint::crypto
