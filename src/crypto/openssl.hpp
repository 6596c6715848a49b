// What the files of this room share: OpenSSL's library context of our own, and its errors. Included by
// src/crypto/*.cpp alone.
#pragma once

#include <openssl/err.h>
#include <openssl/types.h>

#include <memory>

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

// label: of OAEP.
bool SetRsaPadding(EVP_PKEY_CTX* context, RsaPadding padding, base::Bytes label);

// Throws kInvalidArgument for a curve that is not on the list.
Curve CurveOf(const EVP_PKEY* key);

// Throws kInternal naming what failed, with OpenSSL's reason, and empties OpenSSL's error queue.
[[noreturn]] void ThrowOpenSsl(const char* what);

}  // namespace trustpoint::crypto
