#include "crypto/certificate.hpp"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/error.hpp"
#include "crypto/certificate_parts.hpp"
#include "crypto/random.hpp"

namespace trustpoint::crypto {
namespace {

using base::Error;
using base::ErrorCode;
using Request = Owned<X509_REQ, X509_REQ_free>;
using Certificate = Owned<X509, X509_free>;
using Signature = std::vector<std::uint8_t>;

constexpr unsigned kMaxDays = 36500;
constexpr std::size_t kSerialSize = 16;

void Require(bool good, const char* what) {
  if (!good) ThrowOpenSsl(what);
}

// The DER that write(nullptr) measures and write(&end) writes.
template <class Write>
std::vector<std::uint8_t> Encode(Write write) {
  const int size = write(nullptr);
  Require(size > 0, "could not encode a certificate");
  std::vector<std::uint8_t> der(static_cast<std::size_t>(size));
  std::uint8_t* end = der.data();
  Require(write(&end) == size, "could not encode a certificate");
  return der;
}

Signature SignPart(const PublicKey& key, SignatureAlgorithm algorithm, base::Bytes part, const Signer& sign) {
  const Digest digest = HashOf(algorithm.hash, part);
  Signature signature = sign(digest);
  if (!key.Verify(algorithm, digest, signature))
    throw Error(ErrorCode::kTokenRefused, "the token's signature does not verify with its public key", {},
                "The private and the public object of the key do not belong together.");
  return signature;
}

// A BIT STRING of whole bytes.
void SetBits(ASN1_BIT_STRING* bits, base::Bytes bytes) {
  Require(
      ASN1_BIT_STRING_set(bits, const_cast<std::uint8_t*>(bytes.data()), static_cast<int>(bytes.size())) == 1,
      "could not encode a signature");
  bits->flags = (bits->flags & ~0x07L) | ASN1_STRING_FLAG_BITS_LEFT;
}

EVP_PKEY* KeyOf(const PublicKey& key) { return const_cast<EVP_PKEY*>(key.get()); }

void SetSerial(X509* certificate) {
  base::Block<kSerialSize> random;
  Random(random);
  random[0] = static_cast<std::uint8_t>((random[0] & 0x7F) | 0x40);  // positive, and of one length
  const Owned<BIGNUM, BN_free> number(BN_bin2bn(random.data(), kSerialSize, nullptr));
  Require(
      number != nullptr && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr,
      "could not set a serial number");
}

void SetValidity(X509* certificate, unsigned days) {
  Require(
      X509_gmtime_adj(X509_getm_notBefore(certificate), 0) != nullptr &&
          X509_time_adj_ex(X509_getm_notAfter(certificate), static_cast<int>(days), 0, nullptr) != nullptr,
      "could not set the validity of a certificate");
}

}  // namespace

std::vector<std::uint8_t> BuildRequest(const PublicKey& key, SignatureAlgorithm algorithm,
                                       const CertificateContent& content, const Signer& sign) {
  CheckAlgorithm(algorithm, key.type());
  const CleanErrors errors;
  const Name subject = ParseSubject(content.subject);
  const Extensions extensions = MakeExtensions(content.alternative_names);
  const AlgorithmId id = IdOf(algorithm);
  const Request request(X509_REQ_new_ex(Library(), nullptr));
  Require(request != nullptr && X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
              X509_REQ_set_subject_name(request.get(), subject.get()) == 1 &&
              X509_REQ_set_pubkey(request.get(), KeyOf(key)) == 1 &&
              (sk_X509_EXTENSION_num(extensions.get()) == 0 ||
               X509_REQ_add_extensions(request.get(), extensions.get()) == 1) &&
              X509_REQ_set1_signature_algo(request.get(), id.get()) == 1,
          "could not build a certificate request");

  const auto part = Encode([&](std::uint8_t** end) { return i2d_re_X509_REQ_tbs(request.get(), end); });
  const Signature signature = SignPart(key, algorithm, part, sign);
  ASN1_BIT_STRING* bits = ASN1_BIT_STRING_new();
  Require(bits != nullptr, "could not encode a signature");
  X509_REQ_set0_signature(request.get(), bits);
  SetBits(bits, signature);
  return Encode([&](std::uint8_t** end) { return i2d_X509_REQ(request.get(), end); });
}

std::vector<std::uint8_t> BuildSelfSigned(const PublicKey& key, SignatureAlgorithm algorithm,
                                          const CertificateContent& content, const SelfSigned& options,
                                          const Signer& sign) {
  CheckAlgorithm(algorithm, key.type());
  if (options.days < 1 || options.days > kMaxDays)
    throw Error(ErrorCode::kInvalidArgument, "a certificate is valid for 1 to 36500 days");
  const CleanErrors errors;
  const Name subject = ParseSubject(content.subject);
  const AlgorithmId id = IdOf(algorithm);
  const Certificate certificate(X509_new_ex(Library(), nullptr));
  Require(certificate != nullptr && X509_set_version(certificate.get(), X509_VERSION_3) == 1 &&
              X509_set_subject_name(certificate.get(), subject.get()) == 1 &&
              X509_set_issuer_name(certificate.get(), subject.get()) == 1 &&
              X509_set_pubkey(certificate.get(), KeyOf(key)) == 1,
          "could not build a certificate");
  SetSerial(certificate.get());
  SetValidity(certificate.get(), options.days);
  const Extensions extensions =
      MakeCertificateExtensions(content.alternative_names, certificate.get(), options.authority);
  for (int i = 0; i < sk_X509_EXTENSION_num(extensions.get()); ++i)
    Require(X509_add_ext(certificate.get(), sk_X509_EXTENSION_value(extensions.get(), i), -1) == 1,
            "could not add an extension");

  // OpenSSL sets these three itself when it signs, and has no other way to set them.
  const ASN1_BIT_STRING* bits = nullptr;
  const X509_ALGOR* outer = nullptr;
  X509_get0_signature(&bits, &outer, certificate.get());
  Require(
      X509_ALGOR_copy(const_cast<X509_ALGOR*>(outer), id.get()) == 1 &&
          X509_ALGOR_copy(const_cast<X509_ALGOR*>(X509_get0_tbs_sigalg(certificate.get())), id.get()) == 1,
      "could not build a certificate");
  const auto part = Encode([&](std::uint8_t** end) { return i2d_re_X509_tbs(certificate.get(), end); });
  SetBits(const_cast<ASN1_BIT_STRING*>(bits), SignPart(key, algorithm, part, sign));
  return Encode([&](std::uint8_t** end) { return i2d_X509(certificate.get(), end); });
}

std::vector<std::uint8_t> SubjectDer(std::string_view subject) {
  const CleanErrors errors;
  const Name name = ParseSubject(subject);
  return Encode([&](std::uint8_t** end) { return i2d_X509_NAME(name.get(), end); });
}

std::string ToPem(std::string_view kind, base::Bytes der) {
  const CleanErrors errors;
  const Owned<BIO, BIO_free_all> bio(BIO_new(BIO_s_mem()));
  Require(bio != nullptr && PEM_write_bio(bio.get(), std::string(kind).c_str(), "", der.data(),
                                          static_cast<long>(der.size())) > 0,
          "could not write PEM");
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

std::string PublicKey::Pem() const { return ToPem("PUBLIC KEY", Der()); }

}  // namespace trustpoint::crypto
