#include "crypto/openssl.hpp"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include "base/error.hpp"

namespace trustpoint::crypto {

OSSL_LIB_CTX* Library() {
  static OSSL_LIB_CTX* const library = [] {
    OSSL_LIB_CTX* made = OSSL_LIB_CTX_new();
    if (made == nullptr) ThrowOpenSsl("could not create an OpenSSL library context");
    return made;
  }();
  return library;
}

void ThrowOpenSsl(const char* what) {
  char reason[160] = "";
  // The oldest entry is the cause; the later ones are its callers.
  if (const unsigned long code = ERR_peek_error(); code != 0) ERR_error_string_n(code, reason, sizeof reason);
  ERR_clear_error();
  throw base::Error(base::ErrorCode::kInternal, what, reason);
}

}  // namespace trustpoint::crypto
