#include "crypto/decode_key.hpp"

#include <openssl/asn1.h>
#include <openssl/decoder.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include "crypto/good_key.hpp"

namespace trustpoint::crypto {
namespace {

using Algorithm = Owned<X509_ALGOR, X509_ALGOR_free>;

constexpr const char* kStructures[] = {"SubjectPublicKeyInfo", "PrivateKeyInfo", "type-specific",
                                       "type-specific"};

// Goes into the next value of DER, or over it.
bool Next(base::Bytes* der, int wanted, bool over) {
  const std::uint8_t* at = der->data();
  long size = 0;
  int tag = 0, kind = 0;
  if ((ASN1_get_object(&at, &size, &tag, &kind, static_cast<long>(der->size())) & 0x80) != 0 || tag != wanted)
    return false;
  *der = der->subspan(static_cast<std::size_t>(at - der->data() + (over ? size : 0)));
  return true;
}

// By its name: what it says of itself only chooses the decoder, which reads it again.
int AlgorithmNid(base::Bytes der, KeyForm form) {
  if (!Next(&der, V_ASN1_SEQUENCE, false)) return NID_undef;
  if (form == KeyForm::kPkcs8 && !Next(&der, V_ASN1_INTEGER, true)) return NID_undef;  // the version
  const std::uint8_t* at = der.data();
  const Algorithm algorithm(d2i_X509_ALGOR(nullptr, &at, static_cast<long>(der.size())));
  return algorithm == nullptr ? NID_undef : OBJ_obj2nid(algorithm->algorithm);
}

int NidOf(base::Bytes der, KeyForm form) {
  switch (form) {
    case KeyForm::kPkcs1:
      return NID_rsaEncryption;
    case KeyForm::kSec1:
      return NID_X9_62_id_ecPublicKey;
    default:
      return AlgorithmNid(der, form);
  }
}

// One decoder for the key and the good one: to make it costs far more than to read with it.
bool ReadIn(OSSL_LIB_CTX* library, base::Bytes der, KeyForm form, const char* type, DecodedKey* out) {
  EVP_PKEY* key = nullptr;
  const Owned<OSSL_DECODER_CTX, OSSL_DECODER_CTX_free> decoder(OSSL_DECODER_CTX_new_for_pkey(
      &key, "DER", kStructures[static_cast<std::size_t>(form)], type,
      form == KeyForm::kPublic ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR, library, nullptr));
  const auto read = [&](base::Bytes bytes) {
    key = nullptr;
    const std::uint8_t* at = bytes.data();
    std::size_t left = bytes.size();
    if (decoder != nullptr) OSSL_DECODER_from_data(decoder.get(), &at, &left);
    return bytes.size() - left;
  };
  const auto given = [&] {
    out->size = read(der);
    return key;
  };
  const auto good = [&]() -> EVP_PKEY* {
    // To calculate a point that is missing most curves need them, though not the good key's.
    if (!HasRandom(library)) return nullptr;
    read(GoodKey(form, type));
    return key;
  };
  return ReadsOrRefuses(&out->key, given, good);
}

}  // namespace

DecodedKey DecodeKey(base::Bytes der, KeyForm form) {
  DecodedKey decoded;
  const int nid = NidOf(der, form);
  if (nid == NID_undef) return decoded;
  decoded.other_type = nid != NID_rsaEncryption && nid != NID_X9_62_id_ecPublicKey;
  if (decoded.other_type) return decoded;
  const char* const type = nid == NID_rsaEncryption ? "RSA" : "EC";
  InNewLibraryToo([&](OSSL_LIB_CTX* library) { return ReadIn(library, der, form, type, &decoded); });
  return decoded;
}

}  // namespace trustpoint::crypto
