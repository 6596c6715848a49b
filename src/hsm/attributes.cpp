#include "hsm/attributes.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "pkcs11/mechanism_names.hpp"
#include "pkcs11/object.hpp"
#include "pkcs11/retry.hpp"
#include "pkcs11/token.hpp"

namespace trustpoint::hsm {
namespace {

using Value = std::vector<std::uint8_t>;

std::string Hex(CK_ULONG number) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%lX", number);
  return text;
}

std::string Hex(const Value& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 0x0F];
  }
  return text;
}

CK_ULONG Number(const Value& bytes, std::size_t offset = 0) {
  CK_ULONG number = 0;
  if (offset + sizeof number <= bytes.size()) std::memcpy(&number, bytes.data() + offset, sizeof number);
  return number;
}

// As ReadBytes. SoftHSM fails for values that it took before, and NSS for attributes that it does not know;
// that is no reason to hide the rest.
std::optional<Value> ReadShown(pkcs11::Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  try {
    return pkcs11::ReadBytes(session, object, type);
  } catch (const base::Error& error) {
    if (pkcs11::ClassOf(error.token_code()) == pkcs11::Class::kPermanent) return std::nullopt;
    if (pkcs11::IsVague(error.token_code()) && pkcs11::TokenAnswers(session.module(), session.slot()))
      return std::nullopt;
    throw;
  }
}

std::string Mechanisms(const Value& bytes) {
  std::string text;
  for (std::size_t i = 0; i + sizeof(CK_MECHANISM_TYPE) <= bytes.size(); i += sizeof(CK_MECHANISM_TYPE)) {
    if (!text.empty()) text += ", ";
    const CK_MECHANISM_TYPE type = Number(bytes, i);
    text += type == CK_UNAVAILABLE_INFORMATION ? "unknown" : pkcs11::MechanismName(type);
  }
  return text;
}

std::string Date(const Value& bytes) {
  const std::string text(bytes.begin(), bytes.end());
  return text.substr(0, 4) + "-" + text.substr(4, 2) + "-" + text.substr(6, 2);
}

}  // namespace

std::string ClassName(CK_OBJECT_CLASS object_class) {
  switch (object_class) {
    case CKO_DATA:
      return "data";
    case CKO_CERTIFICATE:
      return "certificate";
    case CKO_PUBLIC_KEY:
      return "public key";
    case CKO_PRIVATE_KEY:
      return "private key";
    case CKO_SECRET_KEY:
      return "secret key";
    default:
      return Hex(object_class);
  }
}

std::string TypeName(CK_KEY_TYPE type) {
  switch (type) {
    case CKK_RSA:
      return "RSA";
    case CKK_EC:
      return "EC";
    case CKK_AES:
      return "AES";
    case CKK_GENERIC_SECRET:
      return "generic secret";
    default:
      return Hex(type);
  }
}

std::optional<std::string> AttributeText(pkcs11::Session& session, CK_OBJECT_HANDLE object,
                                         const Attribute& attribute) {
  const std::optional<Value> value = ReadShown(session, object, attribute.type);
  if (!value || value->empty()) return std::nullopt;
  switch (attribute.kind) {
    case Kind::kFlag:
      return (*value)[0] != CK_FALSE ? "true" : "false";
    case Kind::kNumber:
      return std::to_string(Number(*value));
    case Kind::kText:
      return std::string(value->begin(), value->end());
    case Kind::kHex:
      return Hex(*value);
    case Kind::kDate:
      return value->size() == 8 ? Date(*value) : Hex(*value);
    case Kind::kClass:
      return ClassName(Number(*value));
    case Kind::kKeyType:
      return TypeName(Number(*value));
    case Kind::kMechanisms:
      return Mechanisms(*value);
  }
  return std::nullopt;
}

}  // namespace trustpoint::hsm
