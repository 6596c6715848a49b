// What becomes of keys when OpenSSL gets no memory: each time in a process of its own, as OpenSSL keeps what
// it has loaded until the end.
#include <openssl/core_names.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cstdlib>

#include "crypto/private_key.hpp"
#include "unit/crypto_fixture.hpp"

namespace trustpoint::crypto {
namespace {

using base::ErrorCode;

constexpr const char* kPassphrase = "correct horse";

// How many allocations succeed before one fails, or all do; below zero: none fails.
long left = -1;
bool for_good = false;

bool Fails() {
  if (left < 0) return false;
  if (left == 0 && for_good) return true;
  return left-- == 0;
}

void* Allocate(std::size_t size, const char*, int) { return Fails() ? nullptr : std::malloc(size); }
void* Reallocate(void* old, std::size_t size, const char*, int) {
  return Fails() ? nullptr : std::realloc(old, size);
}
void Release(void* old, const char*, int) { std::free(old); }

// OpenSSL takes them before it first allocates anything, so this is done before main().
const bool installed = CRYPTO_set_mem_functions(Allocate, Reallocate, Release) == 1;

// What came of it, in a word where it is expected here.
std::string Outcome(auto&& use) {
  try {
    use();
    return "done";
  } catch (const base::Error& error) {
    return error.code() == ErrorCode::kOutOfMemory ? "no memory" : error.what();
  } catch (const std::bad_alloc&) {
    return "no memory";
  }
}

// How many allocations a first use takes.
long AllocationsOf(auto&& use) {
  constexpr long kEnough = 1'000'000;
  int ends[2];
  long count = 0;
  EXPECT_EQ(pipe(ends), 0);
  EXPECT_TRUE(test::HoldsInTime([&] {
    left = kEnough;
    if (Outcome(use) != "done") return false;
    count = kEnough - left;
    return write(ends[1], &count, sizeof count) == sizeof count;
  }));
  EXPECT_EQ(read(ends[0], &count, sizeof count), static_cast<ssize_t>(sizeof count));
  close(ends[0]);
  close(ends[1]);
  return count;
}

// One allocation of a first use fails, of all of them about so many in turn. Whatever that says, the second
// use is right.
void ExpectRightAfterOneFailure(long points, auto&& use) {
  ASSERT_TRUE(installed);
  const long all = AllocationsOf(use);
  for (long nth = 0; nth < all; nth += std::max(1L, all / points))
    EXPECT_TRUE(test::HoldsInTime([&] {
      left = nth;
      (void)Outcome(use);
      left = -1;
      return Outcome(use) == "done";
    })) << nth
        << " of " << all;
}

long CountAllocations(auto&& use) {
  constexpr long kEnough = 1'000'000;
  left = kEnough;
  (void)Outcome(use);
  const long count = kEnough - left;
  left = -1;
  return count;
}

// The least that can be done with one.
void UseNewLibraryContext() {
  OSSL_LIB_CTX* const library = OSSL_LIB_CTX_new();
  EVP_KEYMGMT_free(EVP_KEYMGMT_fetch(library, "EC", nullptr));
  OSSL_LIB_CTX_free(library);
}

// To refuse the key with any of its first 30 bytes changed takes less than a new library context above what
// it takes to use it.
void ExpectCheapRefusals(const std::string& pem, auto&& use) {
  char *name = nullptr, *header = nullptr;
  std::uint8_t* der = nullptr;
  long size = 0;
  BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  ASSERT_EQ(PEM_read_bio(bio, &name, &header, &der, &size), 1);
  BIO_free(bio);
  std::vector<std::string> changed;
  for (long i = 0; i < 30; ++i) {
    der[i] ^= 1;
    changed.push_back(test::PemOf(name, {der, static_cast<std::size_t>(size)}));
    der[i] ^= 1;
  }
  for (void* bytes : {static_cast<void*>(name), static_cast<void*>(header), static_cast<void*>(der)})
    OPENSSL_free(bytes);
  EXPECT_TRUE(test::HoldsInTime([&] {
    for (const std::string& one : changed) (void)Outcome([&] { use(one); });  // loads what is needed
    const long most = CountAllocations([&] { use(pem); }) + CountAllocations(UseNewLibraryContext);
    return std::ranges::all_of(
        changed, [&](const std::string& one) { return CountAllocations([&] { use(one); }) < most; });
  })) << pem;
}

TEST(NoMemoryDeathTest, OnceLeavesKeysOfNumbersUsable) {
  std::vector<std::uint8_t> point(65);
  std::size_t size = 0;
  ASSERT_EQ(EVP_PKEY_get_octet_string_param(test::EcKey(Curve::kP256), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                            point.size(), &size),
            1);
  // All of them: with OpenSSL 3.5 it was a single one of 1735.
  ExpectRightAfterOneFailure(10'000, [&] { PublicKey::FromEc(Curve::kP256, point); });
}

TEST(NoMemoryDeathTest, OnceLeavesPublicKeysUsable) {
  const std::string pem = test::PublicPem(test::EcKey(Curve::kP256));
  ExpectRightAfterOneFailure(100, [&] { PublicKey::FromPem(pem); });
}

TEST(NoMemoryDeathTest, OnceLeavesEncryptedKeysUsable) {
  const std::string pem = test::PrivatePem(test::EcKey(Curve::kP256), kPassphrase);
  ExpectRightAfterOneFailure(100, [&] { ReadPrivateKey(pem, base::AsBytes(kPassphrase)); });
}

// Its numbers are calculated with: on this curve with random ones, which OpenSSL loads then.
TEST(NoMemoryDeathTest, OnceLeavesKeysOfOtherCurvesUsable) {
  const test::OpenSslKey key(EVP_EC_gen("P-384"));
  const std::string whole = test::PrivatePem(key.get());
  ASSERT_EQ(EVP_PKEY_set_int_param(key.get(), OSSL_PKEY_PARAM_EC_INCLUDE_PUBLIC, 0), 1);
  const std::string pointless = test::PrivatePem(key.get());
  for (const std::string& pem : {whole, pointless})
    ExpectRightAfterOneFailure(500, [&] { ReadPrivateKey(pem, {}); });
}

TEST(NoMemoryDeathTest, OnceLeavesRsaDecryptionUsable) {
  const std::string pem = test::PrivatePem(test::RsaKey());
  // By OpenSSL itself: our library context is to be without anything yet.
  std::vector<std::uint8_t> ciphertext(256);
  std::size_t size = ciphertext.size();
  EVP_PKEY_CTX* const context = EVP_PKEY_CTX_new(test::RsaKey(), nullptr);
  ASSERT_EQ(EVP_PKEY_encrypt_init(context), 1);
  ASSERT_EQ(EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING), 1);
  ASSERT_EQ(EVP_PKEY_encrypt(context, ciphertext.data(), &size, ciphertext.data(), 1), 1);
  EVP_PKEY_CTX_free(context);
  ExpectRightAfterOneFailure(500, [&] { DecryptWithPem(pem, {}, RsaPadding::kOaepSha1, ciphertext, {}); });
}

// So it costs no new library context, which is most of the work.
TEST(NoMemoryDeathTest, IsNotSuspectedOfEachBadKey) {
  ASSERT_TRUE(installed);
  const auto read_public = [](const std::string& pem) { PublicKey::FromPem(pem); };
  const auto read_private = [](const std::string& pem) { ReadPrivateKey(pem, {}); };
  for (EVP_PKEY* key : {test::RsaKey(), test::EcKey(Curve::kP384)}) {
    ExpectCheapRefusals(test::PublicPem(key), read_public);
    ExpectCheapRefusals(test::PrivatePem(key), read_private);
    ExpectCheapRefusals(test::TraditionalPem(key), read_private);
  }
  const std::vector<std::uint8_t> nowhere(65, 0x04);
  EXPECT_TRUE(test::HoldsInTime([&] {
    const auto refuse = [&] { PublicKey::FromEc(Curve::kP256, nowhere); };
    (void)Outcome(refuse);
    return CountAllocations(refuse) < CountAllocations(UseNewLibraryContext);
  }));
}

TEST(NoMemoryDeathTest, ForGoodIsToldAtOnce) {
  ASSERT_TRUE(installed);
  const std::string pem = test::PrivatePem(test::EcKey(Curve::kP256), kPassphrase);
  for (long nth = 0; nth < 12; ++nth)
    EXPECT_TRUE(test::HoldsInTime([&] {
      left = nth;
      for_good = true;
      const std::string outcome = Outcome([&] { ReadPrivateKey(pem, base::AsBytes(kPassphrase)); });
      left = -1;
      return outcome == "no memory";
    })) << nth;
}

}  // namespace
}  // namespace trustpoint::crypto
