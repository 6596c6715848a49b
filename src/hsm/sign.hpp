// Signatures by a key in the token: always the raw mechanism over a hash computed before, which every module
// has (CKM_ECDSA, CKM_RSA_PKCS over DigestInfo, CKM_RSA_PKCS_PSS).
#pragma once

#include <cstddef>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/certificate.hpp"
#include "hsm/token_key.hpp"

namespace trustpoint::hsm {

inline constexpr std::size_t kMaxSignatureSize = 2048;  // RSA of 16384 bits; ECDSA's DER is shorter

// The algorithm of the name, or the key's default without one. Throws kInvalidArgument: unknown, or not for
// this type of key.
crypto::SignatureAlgorithm ChooseAlgorithm(const TokenKey& key, std::optional<std::string_view> name);

// Writes the signature to out, which has room for kMaxSignatureSize, and returns its size. ECDSA: DER.
// Throws kInvalidArgument: not a key that signs, or the algorithm is not for it; kTokenRefused, naming the
// mechanism: the token cannot do it.
std::size_t Sign(pkcs11::Session& session, const TokenKey& key, crypto::SignatureAlgorithm algorithm,
                 const crypto::Digest& digest, base::MutableBytes out);

// DER, signed by the key.
std::vector<std::uint8_t> MakeRequest(pkcs11::Session& session, const TokenKey& key,
                                      crypto::SignatureAlgorithm algorithm,
                                      const crypto::CertificateContent& content);
std::vector<std::uint8_t> MakeSelfSigned(pkcs11::Session& session, const TokenKey& key,
                                         crypto::SignatureAlgorithm algorithm,
                                         const crypto::CertificateContent& content,
                                         const crypto::SelfSigned& options);

}  // namespace trustpoint::hsm
