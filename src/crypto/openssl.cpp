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

// A key that no provider holds is none: then the library took to older code of OpenSSL, whose keys do not
// give their numbers.
Key Held(EVP_PKEY* read) {
  Key key(read);
  if (key != nullptr && EVP_PKEY_get0_provider(key.get()) == nullptr) key.reset();
  return key;
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

bool HasRandom(OSSL_LIB_CTX* of) {
  std::uint8_t byte;
  return RAND_priv_bytes_ex(of, &byte, 1, 0) == 1;
}

void RequireRandom() {
  if (!HasRandom(Library())) ThrowNotOffered("OpenSSL has no random numbers");
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

bool ReadsOrRefuses(Key* key, const std::function<EVP_PKEY*()>& given,
                    const std::function<EVP_PKEY*()>& good) {
  *key = Held(given());
  if (*key != nullptr) return true;
  if (Held(good()) == nullptr) return false;
  *key = Held(given());  // without memory for this one alone it was not read either
  return true;
}

}  // namespace trustpoint::crypto
