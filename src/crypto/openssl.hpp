// What the files of this room share: OpenSSL's library context of our own, and its errors. Included by
// src/crypto/*.cpp alone.
#pragma once

#include <openssl/err.h>
#include <openssl/evp.h>

#include <functional>
#include <memory>
#include <string_view>

#include "crypto/algorithm.hpp"

namespace trustpoint::crypto {

// A library context of our own, so that what a PKCS#11 module or libpq does to OpenSSL's default one
// (engines, providers, a replaced random generator) does not reach us. Made on first use, never freed.
OSSL_LIB_CTX* Library();

// An OpenSSL object that frees itself.
template <class T, void (*kFree)(T*)>
struct Free {
  void operator()(T* object) const noexcept { kFree(object); }
};
template <class T, void (*kFree)(T*)>
using Owned = std::unique_ptr<T, Free<T, kFree>>;

// OpenSSL's error queue belongs to the thread, and a PKCS#11 module leaves its own errors there. While one of
// these lives it holds only ours, and at its end nothing.
class CleanErrors {
 public:
  CleanErrors() noexcept { ERR_clear_error(); }
  ~CleanErrors() { ERR_clear_error(); }
  CleanErrors(const CleanErrors&) = delete;
  CleanErrors& operator=(const CleanErrors&) = delete;
};

// The digest of our library context, fetched once.
const EVP_MD* FetchedDigest(Hash hash);

// A cipher of our library context, by its name there. Throws as ThrowNotOffered.
const EVP_CIPHER* FetchCipher(const char* name);

// A context of HMAC-SHA-256 without a key, the caller's to free. Throws as ThrowOpenSsl.
EVP_MAC_CTX* NewHmacSha256();

// label: of OAEP.
bool SetRsaPadding(EVP_PKEY_CTX* context, RsaPadding padding, base::Bytes label);

// nullopt: it is not on the list.
std::optional<Curve> CurveOf(const EVP_PKEY* key);

// Throws kOutOfMemory naming what failed, with OpenSSL's reason, and empties OpenSSL's error queue. What we
// ask for is valid and in every OpenSSL 3, so that it fails for want of memory, which OpenSSL itself seldom
// says: it tells of an algorithm that is unsupported, a context that cannot be copied.
[[noreturn]] void ThrowOpenSsl(const char* what);
// The same where it has not fetched an algorithm, which it also does by itself when an operation begins and
// when it needs random numbers. The next one comes from a new library context: without memory OpenSSL may
// have loaded the old one in part, for good.
[[noreturn]] void ThrowNotOffered(const char* what);
// After OpenSSL has refused what others gave us: throws kOutOfMemory when it says that this was the reason.
// Empties the error queue.
void ThrowIfOutOfMemory();

// What calculates with a private key needs random numbers, and does not say so: without them it calls a good
// key bad.
bool HasRandom(OSSL_LIB_CTX* library);
// Throws as ThrowNotOffered.
void RequireRandom();

// Whether a key is of the type "RSA" or "EC". EVP_PKEY_is_a needs memory, and says no without it.
bool IsOfType(const EVP_PKEY* key, std::string_view type);
// Whether attempt(library context) says yes; when it says no of ours, it is asked once more of a new one,
// which is ours from then on if it says yes: without memory OpenSSL may have loaded the old one in part, for
// good, and then refuses what is right. What the attempt took from a context of which it says no must be
// gone. A new context costs more than most attempts, so an attempt says yes too when it is sure of a refusal.
bool InNewLibraryToo(const std::function<bool(OSSL_LIB_CTX*)>& attempt);

using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
// For such an attempt: whether *key has what given() reads, or that is surely no key. It is sure where good()
// reads one, from a good key of the same kind by the same library context, which is whole then and has
// memory.
bool ReadsOrRefuses(Key* key, const std::function<EVP_PKEY*()>& given,
                    const std::function<EVP_PKEY*()>& good);

}  // namespace trustpoint::crypto
