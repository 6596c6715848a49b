#include "crypto/certificate_parts.hpp"

#include <arpa/inet.h>
#include <openssl/asn1t.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "base/error.hpp"

namespace trustpoint::crypto {
namespace {

using base::Error;
using base::ErrorCode;
using Names = Owned<GENERAL_NAMES, GENERAL_NAMES_free>;
using String = Owned<ASN1_STRING, ASN1_STRING_free>;

constexpr std::size_t kMaxNames = 1000, kMaxNamesSize = 64 * 1024;
constexpr int kHashNids[] = {NID_sha1, NID_sha224, NID_sha256, NID_sha384, NID_sha512};

void Require(bool good, const char* what) {
  if (!good) ThrowOpenSsl(what);
}

[[noreturn]] void ThrowBadName(const std::string& why) {
  throw Error(ErrorCode::kInvalidArgument, "not an alternative name: " + why, {},
              "Write DNS:example.org, IP:192.0.2.1, email:a@example.org or URI:https://example.org/.");
}

bool IsPrintableAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7F; });
}

bool IsDnsLabel(std::string_view label) {
  const auto inside = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
         std::all_of(label.begin(), label.end(), inside);
}

// Perhaps with a wildcard as its first label.
bool IsDnsName(std::string_view name) {
  if (name.size() > 253) return false;
  if (name.starts_with("*.")) name.remove_prefix(2);
  for (;;) {
    const std::size_t dot = name.find('.');
    if (!IsDnsLabel(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

// The value of a name that is text.
String Ia5(std::string_view text) {
  String value(ASN1_STRING_type_new(V_ASN1_IA5STRING));
  Require(value != nullptr && ASN1_STRING_set(value.get(), text.data(), static_cast<int>(text.size())) == 1,
          "could not encode an alternative name");
  return value;
}

String Address(const std::string& text) {
  unsigned char bytes[16];
  int size = 0;
  if (inet_pton(AF_INET, text.c_str(), bytes) == 1)
    size = 4;
  else if (inet_pton(AF_INET6, text.c_str(), bytes) == 1)
    size = 16;
  else
    ThrowBadName("this is no IP address");
  String value(ASN1_STRING_type_new(V_ASN1_OCTET_STRING));
  Require(value != nullptr && ASN1_STRING_set(value.get(), bytes, size) == 1,
          "could not encode an alternative name");
  return value;
}

void AddName(GENERAL_NAMES* names, const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  const std::string value = colon == std::string::npos ? "" : text.substr(colon + 1);
  int type = GEN_URI;
  String encoded;
  if (kind == "DNS") {
    if (!IsDnsName(value)) ThrowBadName("this is no DNS name");
    type = GEN_DNS;
  } else if (kind == "email") {
    const std::size_t at = value.find('@');
    if (!IsPrintableAscii(value) || at == 0 || at == std::string::npos || !IsDnsName(value.substr(at + 1)))
      ThrowBadName("this is no email address");
    type = GEN_EMAIL;
  } else if (kind == "IP") {
    type = GEN_IPADD;
    encoded = Address(value);
  } else if (kind != "URI") {
    ThrowBadName("it must begin with DNS:, IP:, email: or URI:");
  } else if (value.empty() || !IsPrintableAscii(value) || value.find(':') == std::string::npos) {
    ThrowBadName("this is no URI");
  }
  if (encoded == nullptr) encoded = Ia5(value);
  GENERAL_NAME* name = GENERAL_NAME_new();
  Require(name != nullptr, "could not encode an alternative name");
  GENERAL_NAME_set0_value(name, type, encoded.release());
  if (sk_GENERAL_NAME_push(names, name) > 0) return;
  GENERAL_NAME_free(name);
  ThrowOpenSsl("could not encode an alternative name");
}

// Nothing cancels the query while OpenSSL encodes them.
void CheckRoom(const std::vector<std::string>& names) {
  std::size_t size = 0;
  for (const std::string& name : names) size += name.size();
  if (names.size() > kMaxNames || size > kMaxNamesSize)
    throw Error(ErrorCode::kTooLarge, "too many alternative names", {},
                "At most 1000 names go in, of 64 KB in all.");
}

void Push(STACK_OF(X509_EXTENSION) * extensions, X509_EXTENSION* extension) {
  if (extension != nullptr && sk_X509_EXTENSION_push(extensions, extension) > 0) return;
  X509_EXTENSION_free(extension);
  ThrowOpenSsl("could not build an extension");
}

AlgorithmId PssId(Hash hash) {
  const Owned<RSA_PSS_PARAMS, RSA_PSS_PARAMS_free> parameters(RSA_PSS_PARAMS_new());
  AlgorithmId digest(X509_ALGOR_new()), mask(X509_ALGOR_new()), id(X509_ALGOR_new());
  Require(parameters != nullptr && digest != nullptr && mask != nullptr && id != nullptr,
          "could not build an algorithm identifier");
  X509_ALGOR_set_md(digest.get(), FetchedDigest(hash));
  ASN1_STRING* packed = ASN1_item_pack(digest.get(), ASN1_ITEM_rptr(X509_ALGOR), nullptr);
  Require(
      packed != nullptr && X509_ALGOR_set0(mask.get(), OBJ_nid2obj(NID_mgf1), V_ASN1_SEQUENCE, packed) == 1,
      "could not build an algorithm identifier");
  parameters->saltLength = ASN1_INTEGER_new();
  Require(parameters->saltLength != nullptr &&
              ASN1_INTEGER_set(parameters->saltLength, static_cast<long>(HashSize(hash))) == 1,
          "could not build an algorithm identifier");
  parameters->hashAlgorithm = digest.release();
  parameters->maskGenAlgorithm = mask.release();
  packed = ASN1_item_pack(parameters.get(), ASN1_ITEM_rptr(RSA_PSS_PARAMS), nullptr);
  Require(packed != nullptr &&
              X509_ALGOR_set0(id.get(), OBJ_nid2obj(NID_rsassaPss), V_ASN1_SEQUENCE, packed) == 1,
          "could not build an algorithm identifier");
  return id;
}

}  // namespace

Extensions MakeExtensions(const std::vector<std::string>& alternative_names) {
  CheckRoom(alternative_names);
  Extensions extensions(sk_X509_EXTENSION_new_null());
  Require(extensions != nullptr, "could not build an extension");
  if (alternative_names.empty()) return extensions;
  const Names names(GENERAL_NAMES_new());
  Require(names != nullptr, "could not build an extension");
  for (const std::string& name : alternative_names) AddName(names.get(), name);
  Push(extensions.get(), X509V3_EXT_i2d(NID_subject_alt_name, 0, names.get()));
  return extensions;
}

Extensions MakeCertificateExtensions(const std::vector<std::string>& alternative_names, X509* certificate,
                                     bool authority) {
  Extensions extensions = MakeExtensions(alternative_names);
  X509V3_CTX context;
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const auto add = [&](int nid, const char* value) {
    Push(extensions.get(), X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  };
  add(NID_basic_constraints, authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  add(NID_key_usage,
      authority ? "critical,digitalSignature,keyCertSign,cRLSign" : "critical,digitalSignature");
  add(NID_subject_key_identifier, "hash");
  return extensions;
}

AlgorithmId IdOf(SignatureAlgorithm algorithm) {
  if (algorithm.scheme == Scheme::kRsaPss) return PssId(algorithm.hash);
  const bool ec = algorithm.scheme == Scheme::kEcdsa;
  int nid = NID_undef;
  AlgorithmId id(X509_ALGOR_new());
  Require(id != nullptr &&
              OBJ_find_sigid_by_algs(&nid, kHashNids[static_cast<std::size_t>(algorithm.hash)],
                                     ec ? NID_X9_62_id_ecPublicKey : NID_rsaEncryption) == 1 &&
              X509_ALGOR_set0(id.get(), OBJ_nid2obj(nid), ec ? V_ASN1_UNDEF : V_ASN1_NULL, nullptr) == 1,
          "could not build an algorithm identifier");
  return id;
}

}  // namespace trustpoint::crypto
