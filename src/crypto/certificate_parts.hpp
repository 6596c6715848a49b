// The parts of requests and certificates: names, extensions, algorithm identifiers. Included by
// src/crypto/*.cpp alone.
#pragma once

#include <openssl/x509.h>

#include <string>
#include <string_view>
#include <vector>

#include "crypto/algorithm.hpp"
#include "crypto/openssl.hpp"

namespace trustpoint::crypto {

inline void FreeExtensions(STACK_OF(X509_EXTENSION) * extensions) {
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

using Name = Owned<X509_NAME, X509_NAME_free>;
using Extensions = Owned<STACK_OF(X509_EXTENSION), FreeExtensions>;
using AlgorithmId = Owned<X509_ALGOR, X509_ALGOR_free>;

// All throw kInvalidArgument for texts that are none; see CertificateContent.
Name ParseSubject(std::string_view text);
// Empty without alternative names; kTooLarge for too many.
Extensions MakeExtensions(const std::vector<std::string>& alternative_names);
// And basic constraints, key usage and the key's identifier.
Extensions MakeCertificateExtensions(const std::vector<std::string>& alternative_names, X509* certificate,
                                     bool authority);

AlgorithmId IdOf(SignatureAlgorithm algorithm);

}  // namespace trustpoint::crypto
