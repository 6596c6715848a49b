// ParseSubject: a distinguished name from its text, by RFC 4514.
#include <openssl/objects.h>
#include <openssl/x509.h>

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "crypto/certificate_parts.hpp"

namespace trustpoint::crypto {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::size_t kMaxParts = 32;
constexpr std::size_t kMaxType = 64;  // OpenSSL's time for a dotted one grows with the square of its length
constexpr std::size_t kMaxValue = 512;

[[noreturn]] void ThrowBadSubject(const std::string& why) {
  throw Error(
      ErrorCode::kInvalidArgument, "not a subject: " + why, {},
      "Write it like CN=device 1,O=Acme,C=DE; a backslash before one of , + ; < > \" \\ # makes it part of "
      "the value.");
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

struct Part {
  std::string type, value;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : rest_(text) {}

  std::vector<Part> Parse() {
    std::vector<Part> parts;
    do {
      if (parts.size() == kMaxParts) ThrowBadSubject("it has too many parts");
      std::string type = Type();
      parts.push_back({std::move(type), Value()});
    } while (Skip(','));
    if (!rest_.empty()) ThrowBadSubject("parts of more than one value are not known");  // "+"
    return parts;
  }

 private:
  bool Skip(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void SkipBlanks() {
    while (Skip(' ')) {
    }
  }

  std::string Type() {
    SkipBlanks();
    const std::size_t equals = rest_.find('=');
    if (equals == std::string_view::npos || equals == 0) ThrowBadSubject("a part has no \"TYPE=\"");
    std::string type(rest_.substr(0, equals));
    while (type.ends_with(' ')) type.pop_back();
    if (type.size() > kMaxType) ThrowBadSubject("a type is too long");
    rest_.remove_prefix(equals + 1);
    SkipBlanks();
    if (rest_.starts_with('#')) ThrowBadSubject("values in hex are not known");
    return type;
  }

  std::string Value() {
    std::string value;
    std::size_t kept = 0;  // without blanks at the end that nobody escaped
    while (!rest_.empty() && rest_[0] != ',' && rest_[0] != '+') {
      const bool escaped = Skip('\\');
      value += escaped ? Escaped() : Plain();
      if (escaped || value.back() != ' ') kept = value.size();
    }
    value.resize(kept);
    if (value.empty()) ThrowBadSubject("a part has no value");
    if (value.size() > kMaxValue) ThrowBadSubject("a value is too long");
    if (value.find('\0') != std::string::npos) ThrowBadSubject("a value holds a zero byte");
    return value;
  }

  char Next() {
    const char c = rest_[0];
    rest_.remove_prefix(1);
    return c;
  }

  char Plain() {
    const char c = Next();
    if (std::string_view(";<>\"").find(c) != std::string_view::npos)
      ThrowBadSubject(std::string("a value holds ") + c + " without a backslash before it");
    return c;
  }

  // "\," or "\2C".
  char Escaped() {
    if (rest_.size() >= 2 && HexDigit(rest_[0]) >= 0 && HexDigit(rest_[1]) >= 0) {
      const char c = static_cast<char>(HexDigit(rest_[0]) << 4 | HexDigit(rest_[1]));
      rest_.remove_prefix(2);
      return c;
    }
    if (rest_.empty()) ThrowBadSubject("a backslash stands at its end");
    return Next();
  }

  std::string_view rest_;
};

struct Keyword {
  std::string_view name;
  int nid;
};

// Those of RFC 4514. It compares them without case, which OpenSSL does not, and OpenSSL knows no STREET.
constexpr Keyword kKeywords[] = {{"CN", NID_commonName},
                                 {"L", NID_localityName},
                                 {"ST", NID_stateOrProvinceName},
                                 {"O", NID_organizationName},
                                 {"OU", NID_organizationalUnitName},
                                 {"C", NID_countryName},
                                 {"STREET", NID_streetAddress},
                                 {"DC", NID_domainComponent},
                                 {"UID", NID_userId}};

char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

ASN1_OBJECT* TypeOf(const std::string& name) {
  for (const Keyword& keyword : kKeywords)
    if (std::ranges::equal(name, keyword.name, {}, Upper)) return OBJ_nid2obj(keyword.nid);
  return OBJ_txt2obj(name.c_str(), 0);
}

void AddPart(X509_NAME* name, const Part& part) {
  const Owned<ASN1_OBJECT, ASN1_OBJECT_free> type(TypeOf(part.type));
  const int nid = type == nullptr ? NID_undef : OBJ_obj2nid(type.get());
  const bool dotted = !part.type.empty() && part.type[0] >= '0' && part.type[0] <= '9';
  if (type == nullptr || (nid == NID_undef && !dotted)) ThrowBadSubject("a type of a part is not known");
  if (X509_NAME_add_entry_by_OBJ(name, type.get(), MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(part.value.data()),
                                 static_cast<int>(part.value.size()), -1, 0) != 1)
    ThrowBadSubject("the value of " + part.type + " has not the length or the characters that it may have");
}

}  // namespace

Name ParseSubject(std::string_view text) {
  const std::vector<Part> parts = Parser(text).Parse();
  Name name(X509_NAME_new());
  if (name == nullptr) ThrowOpenSsl("could not build a subject");
  // The text begins with the most specific part, the encoding ends with it.
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) AddPart(name.get(), *part);
  return name;
}

}  // namespace trustpoint::crypto
