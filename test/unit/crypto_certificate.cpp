// Requests and certificates, read back by OpenSSL.
#include "crypto/certificate.hpp"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "crypto/rsa_block.hpp"
#include "unit/crypto_fixture.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::crypto {
namespace {

using base::ErrorCode;
using test::Buffer;
using test::CodeOf;
using test::kCurves;

struct FreeX509 {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(X509_REQ* request) const { X509_REQ_free(request); }
};

// What a token would do.
Signer SignerOf(EVP_PKEY* key, SignatureAlgorithm algorithm) {
  return [=](const Digest& digest) {
    EVP_PKEY_CTX* context = EVP_PKEY_CTX_new(key, nullptr);
    EXPECT_EQ(EVP_PKEY_sign_init(context), 1);
    EVP_PKEY_CTX_set_signature_md(context, EVP_get_digestbyname(HashName(algorithm.hash)));
    if (algorithm.scheme == Scheme::kRsaPss) {
      EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING);
      EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST);
    }
    Buffer signature(1024);
    std::size_t size = signature.size();
    EXPECT_EQ(EVP_PKEY_sign(context, signature.data(), &size, digest.bytes.data(), digest.size), 1);
    EVP_PKEY_CTX_free(context);
    signature.resize(size);
    return signature;
  };
}

std::unique_ptr<X509_REQ, FreeX509> ReadRequest(const Buffer& der) {
  const std::uint8_t* end = der.data();
  return std::unique_ptr<X509_REQ, FreeX509>(d2i_X509_REQ(nullptr, &end, static_cast<long>(der.size())));
}

std::unique_ptr<X509, FreeX509> ReadCertificate(const Buffer& der) {
  const std::uint8_t* end = der.data();
  return std::unique_ptr<X509, FreeX509>(d2i_X509(nullptr, &end, static_cast<long>(der.size())));
}

std::string Text(const X509_NAME* name) {
  return test::Written([&](BIO* bio) {
    return X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) > 0 ? 1 : 0;
  });
}

const CertificateContent kContent = {
    "CN=device 1,O=Acme,C=DE",
    {"DNS:device.example.org", "DNS:*.example.org", "IP:192.0.2.1", "IP:2001:db8::1", "email:a@example.org",
     "URI:https://example.org/a?b"}};

Buffer Request(EVP_PKEY* key, SignatureAlgorithm algorithm, const CertificateContent& content) {
  return BuildRequest(PublicKey::FromPem(test::PublicPem(key)), algorithm, content, SignerOf(key, algorithm));
}

TEST(Certificate, RequestsVerifyWithEveryAlgorithm) {
  std::vector<std::pair<EVP_PKEY*, SignatureAlgorithm>> cells;
  for (const auto algorithm : test::AlgorithmsOf(KeyType::kRsa))
    cells.emplace_back(test::RsaKey(), algorithm);
  for (const Curve curve : kCurves)
    for (const auto algorithm : test::AlgorithmsOf(KeyType::kEc))
      cells.emplace_back(test::EcKey(curve), algorithm);
  for (const auto& [key, algorithm] : cells) {
    const auto request = ReadRequest(Request(key, algorithm, kContent));
    ASSERT_TRUE(request);
    EXPECT_EQ(X509_REQ_verify(request.get(), key), 1) << SignatureAlgorithmName(algorithm);
    EXPECT_EQ(Text(X509_REQ_get_subject_name(request.get())), "CN=device 1,O=Acme,C=DE");
  }
}

TEST(Certificate, SelfSignedOnesVerifyWithEveryAlgorithm) {
  std::vector<std::pair<EVP_PKEY*, SignatureAlgorithm>> cells;
  for (const auto algorithm : test::AlgorithmsOf(KeyType::kRsa))
    cells.emplace_back(test::RsaKey(), algorithm);
  for (const Curve curve : kCurves)
    for (const auto algorithm : test::AlgorithmsOf(KeyType::kEc))
      cells.emplace_back(test::EcKey(curve), algorithm);
  for (const auto& [key, algorithm] : cells) {
    const auto certificate = ReadCertificate(BuildSelfSigned(
        PublicKey::FromPem(test::PublicPem(key)), algorithm, kContent, {30, true}, SignerOf(key, algorithm)));
    ASSERT_TRUE(certificate);
    EXPECT_EQ(X509_verify(certificate.get(), key), 1) << SignatureAlgorithmName(algorithm);
    EXPECT_EQ(X509_self_signed(certificate.get(), 1), 1);
    EXPECT_EQ(X509_check_ca(certificate.get()), 1);
    EXPECT_EQ(X509_check_host(certificate.get(), "device.example.org", 0, 0, nullptr), 1);
    EXPECT_EQ(X509_check_ip_asc(certificate.get(), "192.0.2.1", 0), 1);
    EXPECT_EQ(X509_check_ip_asc(certificate.get(), "2001:db8::1", 0), 1);
    EXPECT_EQ(X509_check_email(certificate.get(), "a@example.org", 0, 0), 1);
    int days = 0, seconds = 0;
    ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(certificate.get()),
                   X509_get0_notAfter(certificate.get()));
    EXPECT_EQ(days, 30);
  }
}

TEST(Certificate, ThatIsNoAuthoritySaysSo) {
  EVP_PKEY* key = test::EcKey(Curve::kP256);
  const SignatureAlgorithm algorithm{Scheme::kEcdsa, Hash::kSha256};
  const auto certificate = ReadCertificate(BuildSelfSigned(
      PublicKey::FromPem(test::PublicPem(key)), algorithm, {"CN=x", {}}, {}, SignerOf(key, algorithm)));
  EXPECT_EQ(X509_check_ca(certificate.get()), 0);
  EXPECT_NE(X509_get_key_usage(certificate.get()) & KU_DIGITAL_SIGNATURE, 0U);
  EXPECT_EQ(X509_get_key_usage(certificate.get()) & KU_KEY_CERT_SIGN, 0U);
}

TEST(Certificate, TwoOfThemHaveTwoSerialNumbers) {
  EVP_PKEY* key = test::EcKey(Curve::kP256);
  const SignatureAlgorithm algorithm{Scheme::kEcdsa, Hash::kSha256};
  const auto make = [&] {
    return ReadCertificate(BuildSelfSigned(PublicKey::FromPem(test::PublicPem(key)), algorithm, {"CN=x", {}},
                                           {}, SignerOf(key, algorithm)));
  };
  EXPECT_NE(ASN1_INTEGER_cmp(X509_get0_serialNumber(make().get()), X509_get0_serialNumber(make().get())), 0);
}

TEST(Certificate, ASignatureThatDoesNotVerifyIsNotGivenOut) {
  EVP_PKEY* other = EVP_EC_gen("P-256");
  const SignatureAlgorithm algorithm{Scheme::kEcdsa, Hash::kSha256};
  EXPECT_EQ(CodeOf([&] {
              BuildRequest(PublicKey::FromPem(test::PublicPem(test::EcKey(Curve::kP256))), algorithm,
                           kContent, SignerOf(other, algorithm));
            }),
            ErrorCode::kTokenRefused);
  EVP_PKEY_free(other);
}

TEST(Certificate, SubjectsKeepWhatTheyEscape) {
  const auto subject = [](const std::string& text) {
    const auto request =
        ReadRequest(Request(test::EcKey(Curve::kP256), {Scheme::kEcdsa, Hash::kSha256}, {text, {}}));
    return Text(X509_REQ_get_subject_name(request.get()));
  };
  EXPECT_EQ(subject("CN=a\\, b,O=c\\+d"), "CN=a\\, b,O=c\\+d");
  EXPECT_EQ(subject(" CN = a , O = b "), "CN=a,O=b");
  EXPECT_EQ(subject("CN=a\\ "), "CN=a\\ ");
  EXPECT_EQ(subject("CN=\\C3\\A4,O=\xC3\xB6"), "CN=\xC3\xA4,O=\xC3\xB6");
  EXPECT_EQ(subject("UID=7,DC=example,DC=org"), "UID=7,DC=example,DC=org");
  EXPECT_EQ(subject("1.2.3.4=x,CN=y"), "1.2.3.4=#0C0178,CN=y");
  EXPECT_EQ(subject("CN=\\;\\<\\>\\\",O=\\#0401,OU=a#b"), "CN=\\;\\<\\>\\\",O=\\#0401,OU=a#b");
}

TEST(Certificate, TheTypesOfASubjectAreThoseOfRfc4514) {
  EXPECT_EQ(SubjectDer("cn=a,l=b,St=c,o=d,ou=e,c=DE,Street=f,dc=g,uid=h"),
            SubjectDer("2.5.4.3=a,2.5.4.7=b,2.5.4.8=c,2.5.4.10=d,2.5.4.11=e,2.5.4.6=DE,2.5.4.9=f,"
                       "0.9.2342.19200300.100.1.25=g,0.9.2342.19200300.100.1.1=h"));
  EXPECT_EQ(SubjectDer("STREET=s"), SubjectDer("streetAddress=s"));
}

TEST(Certificate, RefusesSubjectsThatAreNone) {
  for (const char* text :
       {"", "device", "=x", "CN=", "CN=x,", "CN=x\\", "NoSuchType=x", "CN=a+O=b", "C=Germany", "CN=\xFF",
        ",CN=x", "CN=a;O=b", "CN=<x", "CN=x>", "CN=\"x\"", "CN=#0401", "CN= #0401"})
    EXPECT_EQ(CodeOf([&] {
                Request(test::EcKey(Curve::kP256), {Scheme::kEcdsa, Hash::kSha256}, {text, {}});
              }),
              ErrorCode::kInvalidArgument)
        << text;
  for (const std::string& text : {"CN=" + std::string(600, 'x'), "CN=" + std::string(65, 'x')})
    EXPECT_EQ(CodeOf([&] {
                Request(test::EcKey(Curve::kP256), {Scheme::kEcdsa, Hash::kSha256}, {text, {}});
              }),
              ErrorCode::kInvalidArgument);
}

TEST(Certificate, RefusesATypeOfASubjectThatIsLong) {
  const auto refused = [](std::size_t digits) {
    return CodeOf([&] { SubjectDer("1.2." + std::string(digits, '9') + "=x"); }) ==
           ErrorCode::kInvalidArgument;
  };
  EXPECT_FALSE(refused(60));
  EXPECT_TRUE(refused(61));
  EXPECT_TRUE(test::HoldsInTime([&] { return refused(1'000'000); }));
}

TEST(Certificate, RefusesTooManyAlternativeNames) {
  const PublicKey key = PublicKey::FromPem(test::PublicPem(test::EcKey(Curve::kP256)));
  const SignatureAlgorithm algorithm = DefaultAlgorithm(KeyType::kEc, Curve::kP256);
  const Signer sign = SignerOf(test::EcKey(Curve::kP256), algorithm);
  const auto code = [&](std::size_t count, std::size_t size) {
    const CertificateContent content = {
        "CN=x", std::vector<std::string>(count, "URI:a:" + std::string(size - 6, 'x'))};
    const auto request = CodeOf([&] { BuildRequest(key, algorithm, content, sign); });
    EXPECT_EQ(request, CodeOf([&] { BuildSelfSigned(key, algorithm, content, {}, sign); }));
    return request;
  };
  EXPECT_EQ(code(1000, 8), std::nullopt);
  EXPECT_EQ(code(1, 65536), std::nullopt);
  EXPECT_EQ(code(1001, 8), ErrorCode::kTooLarge);
  EXPECT_EQ(code(1, 65537), ErrorCode::kTooLarge);
  EXPECT_EQ(code(512, 129), ErrorCode::kTooLarge);
}

TEST(Certificate, RefusesAlternativeNamesThatAreNone) {
  for (const char* name : {"", "example.org", "DNS:", "DNS:a b", "DNS:-a", "DNS:a..b", "DNS:*", "DNS:a.*.b",
                           "IP:1.2.3", "IP:", "IP:1.2.3.4/24", "email:x", "email:@x", "URI:", "URI:x y:z",
                           "dirName:x", "RID:1.2.3", "DNS:a,IP:1.2.3.4"})
    EXPECT_EQ(CodeOf([&] {
                Request(test::EcKey(Curve::kP256), {Scheme::kEcdsa, Hash::kSha256}, {"CN=x", {name}});
              }),
              ErrorCode::kInvalidArgument)
        << name;
}

TEST(Certificate, RefusesDaysThatAreNone) {
  EVP_PKEY* key = test::EcKey(Curve::kP256);
  const SignatureAlgorithm algorithm{Scheme::kEcdsa, Hash::kSha256};
  for (const unsigned days : {0U, 36501U})
    EXPECT_EQ(CodeOf([&] {
                BuildSelfSigned(PublicKey::FromPem(test::PublicPem(key)), algorithm, {"CN=x", {}},
                                {days, false}, SignerOf(key, algorithm));
              }),
              ErrorCode::kInvalidArgument);
}

TEST(Certificate, PemIsWhatOpenSslReads) {
  const Buffer der = Request(test::EcKey(Curve::kP256), {Scheme::kEcdsa, Hash::kSha256}, kContent);
  const std::string pem = ToPem("CERTIFICATE REQUEST", der);
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509_REQ* request = PEM_read_bio_X509_REQ(bio, nullptr, nullptr, nullptr);
  EXPECT_NE(request, nullptr);
  X509_REQ_free(request);
  BIO_free(bio);
}

}  // namespace
}  // namespace trustpoint::crypto
