// PKCS#10 requests and self-signed certificates. OpenSSL builds them; whoever holds the private key signs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/public_key.hpp"

namespace trustpoint::crypto {

// Signs the digest of the part to be signed; ECDSA in DER.
using Signer = std::function<std::vector<std::uint8_t>(const Digest& digest)>;

struct CertificateContent {
  // RFC 4514: "CN=device 1,O=Acme,C=DE", most specific first; "\," and the like escape. Types by their short
  // names (CN, O, OU, C, L, ST, DC, UID, serialNumber, emailAddress, ...) or as dotted OIDs.
  std::string subject;
  // "DNS:example.org", "IP:192.0.2.1", "email:a@example.org", "URI:https://example.org/". At most 1000, of
  // 64 KB in all.
  std::vector<std::string> alternative_names;
};

struct SelfSigned {
  unsigned days = 365;     // 1 to 36500
  bool authority = false;  // CA:TRUE, may sign certificates
};

// Both return DER and have verified their own signature. They throw kInvalidArgument for a subject, name or
// number of days that is none, or an algorithm that is not for the key; kTooLarge for too many names; and
// what sign throws.
std::vector<std::uint8_t> BuildRequest(const PublicKey& key, SignatureAlgorithm algorithm,
                                       const CertificateContent& content, const Signer& sign);
std::vector<std::uint8_t> BuildSelfSigned(const PublicKey& key, SignatureAlgorithm algorithm,
                                          const CertificateContent& content, const SelfSigned& options,
                                          const Signer& sign);

// The DER of a subject, as CKA_SUBJECT has it. Throws kInvalidArgument.
std::vector<std::uint8_t> SubjectDer(std::string_view subject);

// "-----BEGIN <kind>-----"; kind is "CERTIFICATE REQUEST", "CERTIFICATE" or "PUBLIC KEY".
std::string ToPem(std::string_view kind, base::Bytes der);

}  // namespace trustpoint::crypto
