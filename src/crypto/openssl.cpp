#include "crypto/openssl.hpp"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <cstdint>
#include <new>
#include <string>

#include "base/error.hpp"

namespace trustpoint::crypto {
namespace {

OSSL_LIB_CTX* library = nullptr;

// Whether OpenSSL has said so since the queue was emptied, which it is now.
bool OutOfMemory() noexcept {
  bool found = false;
  while (const unsigned long code = ERR_get_error())
    found = found || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
  return found;
}

}  // namespace

OSSL_LIB_CTX* Library() {
  if (library == nullptr) library = OSSL_LIB_CTX_new();
  if (library == nullptr) ThrowOpenSsl("could not create an OpenSSL library context");
  return library;
}

void ThrowNotOffered(const char* what) {
  library = nullptr;  // left to what was fetched from it before
  ThrowOpenSsl(what);
}

const EVP_CIPHER* FetchCipher(const char* name) {
  if (const EVP_CIPHER* cipher = EVP_CIPHER_fetch(Library(), name, nullptr)) return cipher;
  ThrowNotOffered((std::string("OpenSSL offers no ") + name).c_str());
}

void ThrowOpenSsl(const char* what) {
  char reason[160] = "";
  // The oldest entry is the cause; the later ones are its callers.
  if (const unsigned long code = ERR_peek_error(); code != 0) ERR_error_string_n(code, reason, sizeof reason);
  ERR_clear_error();
  throw base::Error(base::ErrorCode::kOutOfMemory, what, reason);
}

void ThrowIfOutOfMemory() {
  if (OutOfMemory()) throw std::bad_alloc();
}

void RequireRandom() {
  std::uint8_t byte;
  if (RAND_priv_bytes_ex(Library(), &byte, 1, 0) != 1) ThrowNotOffered("OpenSSL has no random numbers");
}

bool IsOfType(const EVP_PKEY* key, std::string_view type) {
  const char* const name = EVP_PKEY_get0_type_name(key);
  return name != nullptr && name == type;
}

bool InNewLibraryToo(const std::function<bool(OSSL_LIB_CTX*)>& attempt) {
  if (attempt(Library())) return true;
  Owned<OSSL_LIB_CTX, OSSL_LIB_CTX_free> fresh(OSSL_LIB_CTX_new());
  if (fresh == nullptr) ThrowOpenSsl("could not create an OpenSSL library context");
  if (!attempt(fresh.get())) return false;
  library = fresh.release();  // the old one is left to what was fetched from it before
  return true;
}

Key ReadKey(const std::function<EVP_PKEY*(OSSL_LIB_CTX*)>& read) {
  Key key;
  InNewLibraryToo([&](OSSL_LIB_CTX* from) {
    key.reset(read(from));
    if (key != nullptr && EVP_PKEY_get0_provider(key.get()) == nullptr) key.reset();
    return key != nullptr;
  });
  return key;
}

}  // namespace trustpoint::crypto
