#include "crypto/password_cost.hpp"

#include <openssl/asn1t.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include <cstdint>

#include "base/error.hpp"
#include "crypto/openssl.hpp"

namespace trustpoint::crypto {
namespace {

// The parameters of an algorithm; nullptr: it has none of this kind.
template <class T>
T* Unpack(const X509_ALGOR* algorithm, const ASN1_ITEM* item) {
  return static_cast<T*>(ASN1_TYPE_unpack_sequence(item, algorithm->parameter));
}

// What does not fit is too much of anything.
std::uint64_t Number(const ASN1_INTEGER* number) {
  std::uint64_t value;
  return ASN1_INTEGER_get_uint64(&value, number) == 1 ? value : UINT64_MAX;
}

bool CheapPbkdf2(const X509_ALGOR* algorithm) {
  const Owned<PBKDF2PARAM, PBKDF2PARAM_free> parameters(
      Unpack<PBKDF2PARAM>(algorithm, ASN1_ITEM_rptr(PBKDF2PARAM)));
  return parameters == nullptr || Number(parameters->iter) <= kMaxIterations;
}

bool CheapScrypt(const X509_ALGOR* algorithm) {
  const Owned<SCRYPT_PARAMS, SCRYPT_PARAMS_free> parameters(
      Unpack<SCRYPT_PARAMS>(algorithm, ASN1_ITEM_rptr(SCRYPT_PARAMS)));
  if (parameters == nullptr) return true;
  std::uint64_t left = kMaxScryptCost;
  for (const ASN1_INTEGER* factor :
       {parameters->costParameter, parameters->blockSize, parameters->parallelizationParameter}) {
    const std::uint64_t value = Number(factor);
    if (value == 0) return true;  // OpenSSL refuses it
    left /= value;
  }
  return left > 0;
}

// PKCS#12's and those of PKCS#5 1.5, whose parameters are the same.
bool CheapBefore(const X509_ALGOR* algorithm) {
  const Owned<PBEPARAM, PBEPARAM_free> parameters(Unpack<PBEPARAM>(algorithm, ASN1_ITEM_rptr(PBEPARAM)));
  return parameters == nullptr || Number(parameters->iter) <= kMaxIterations;
}

bool Cheap(const X509_ALGOR* algorithm) {
  if (OBJ_obj2nid(algorithm->algorithm) != NID_pbes2) return CheapBefore(algorithm);
  const Owned<PBE2PARAM, PBE2PARAM_free> parameters(Unpack<PBE2PARAM>(algorithm, ASN1_ITEM_rptr(PBE2PARAM)));
  if (parameters == nullptr) return true;
  const bool scrypt = OBJ_obj2nid(parameters->keyfunc->algorithm) == NID_id_scrypt;
  return scrypt ? CheapScrypt(parameters->keyfunc) : CheapPbkdf2(parameters->keyfunc);
}

}  // namespace

void CheckPasswordCost(const X509_ALGOR* algorithm) {
  if (Cheap(algorithm)) return;
  throw base::Error(base::ErrorCode::kInvalidArgument,
                    "the private key wants its passphrase hashed for too long", {},
                    "Encrypt it anew with at most 2 million iterations: 'openssl pkcs8 -topk8'.");
}

}  // namespace trustpoint::crypto
