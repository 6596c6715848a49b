// Subjects and alternative names, and the requests and certificates with them.
//
// Input: a subject, and on each line after it an alternative name.
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "crypto/certificate.hpp"
#include "fuzz.hpp"

namespace trustpoint::test {
namespace {

using base::ErrorCode;
using crypto::SignatureAlgorithm;

constexpr SignatureAlgorithm kAlgorithm = {crypto::Scheme::kEcdsa, crypto::Hash::kSha256};

// In place of the token.
class KeyPair {
 public:
  Buffer Sign(base::Bytes digest) const {
    const std::unique_ptr<EVP_PKEY_CTX, void (*)(EVP_PKEY_CTX*)> context(EVP_PKEY_CTX_new(key_, nullptr),
                                                                         EVP_PKEY_CTX_free);
    Buffer signature(static_cast<std::size_t>(EVP_PKEY_get_size(key_)));
    std::size_t size = signature.size();
    Require(EVP_PKEY_sign_init(context.get()) == 1 &&
                EVP_PKEY_sign(context.get(), signature.data(), &size, digest.data(), digest.size()) == 1,
            "OpenSSL signs");
    signature.resize(size);
    return signature;
  }

  crypto::PublicKey Public() const {
    std::uint8_t* der = nullptr;
    const int size = i2d_PUBKEY(key_, &der);
    crypto::PublicKey key = crypto::PublicKey::FromDer({der, static_cast<std::size_t>(size)});
    OPENSSL_free(der);
    return key;
  }

 private:
  EVP_PKEY* const key_ = EVP_EC_gen("P-256");
};

// The subject as OpenSSL writes it by RFC 4514, most specific part first.
std::string Shown(base::Bytes der) {
  const std::uint8_t* end = der.data();
  const std::unique_ptr<X509_NAME, void (*)(X509_NAME*)> name(
      d2i_X509_NAME(nullptr, &end, static_cast<long>(der.size())), X509_NAME_free);
  Require(name != nullptr && end == der.data() + der.size(), "a subject is DER");
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()), BIO_free);
  X509_NAME_print_ex(bio.get(), name.get(), 0,
                     ASN1_STRFLGS_ESC_2253 | ASN1_STRFLGS_ESC_CTRL | ASN1_STRFLGS_UTF8_CONVERT |
                         XN_FLAG_SEP_COMMA_PLUS | XN_FLAG_DN_REV | XN_FLAG_FN_SN);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

void Subject(const std::string& subject) {
  Buffer der;
  if (!Accepts({ErrorCode::kInvalidArgument}, [&] { der = crypto::SubjectDer(subject); })) return;
  Require(Same(crypto::SubjectDer(Shown(der)), der), "a subject is read as OpenSSL writes it");
}

// Splits at the ends of lines.
std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines;
  for (;;) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

void Build(const crypto::CertificateContent& content) {
  static const auto* const pair = new KeyPair;
  static const auto* const key = new crypto::PublicKey(pair->Public());
  const crypto::Signer sign = [](const crypto::Digest& digest) { return pair->Sign(digest.view()); };
  Accepts({ErrorCode::kInvalidArgument, ErrorCode::kTooLarge}, [&] {
    const Buffer der = crypto::BuildRequest(*key, kAlgorithm, content, sign);
    const std::uint8_t* end = der.data();
    const std::unique_ptr<X509_REQ, void (*)(X509_REQ*)> request(
        d2i_X509_REQ(nullptr, &end, static_cast<long>(der.size())), X509_REQ_free);
    Require(request != nullptr && X509_REQ_verify(request.get(), X509_REQ_get0_pubkey(request.get())) == 1,
            "OpenSSL takes the request");
  });
  Accepts({ErrorCode::kInvalidArgument, ErrorCode::kTooLarge}, [&] {
    const Buffer der = crypto::BuildSelfSigned(*key, kAlgorithm, content, {}, sign);
    const std::uint8_t* end = der.data();
    const std::unique_ptr<X509, void (*)(X509*)> certificate(
        d2i_X509(nullptr, &end, static_cast<long>(der.size())), X509_free);
    Require(
        certificate != nullptr && X509_verify(certificate.get(), X509_get0_pubkey(certificate.get())) == 1,
        "OpenSSL takes the certificate");
  });
}

}  // namespace
}  // namespace trustpoint::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace trustpoint;
  std::vector<std::string> lines = test::Lines({reinterpret_cast<const char*>(data), size});
  crypto::CertificateContent content;
  content.subject = lines[0];
  content.alternative_names.assign(lines.begin() + 1, lines.end());
  test::Subject(content.subject);
  test::Build(content);
  return 0;
}
