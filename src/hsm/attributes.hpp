// The attributes of key objects that may be looked at, and how each is written. For this room alone.
#pragma once

#include <optional>
#include <string>

#include "pkcs11/cryptoki.hpp"
#include "pkcs11/session.hpp"

namespace trustpoint::hsm {

enum class Kind : std::uint8_t { kFlag, kNumber, kText, kHex, kDate, kClass, kKeyType, kMechanisms };

struct Attribute {
  CK_ATTRIBUTE_TYPE type;
  const char* name;
  Kind kind;
};

// Every one but those that hold secret values, which nobody asks a token for.
inline constexpr Attribute kAttributes[] = {
#define TP_ATTRIBUTE(name, kind) \
  { name, #name, Kind::kind }
    TP_ATTRIBUTE(CKA_CLASS, kClass),
    TP_ATTRIBUTE(CKA_KEY_TYPE, kKeyType),
    TP_ATTRIBUTE(CKA_LABEL, kText),
    TP_ATTRIBUTE(CKA_ID, kHex),
    TP_ATTRIBUTE(CKA_TOKEN, kFlag),
    TP_ATTRIBUTE(CKA_PRIVATE, kFlag),
    TP_ATTRIBUTE(CKA_SENSITIVE, kFlag),
    TP_ATTRIBUTE(CKA_EXTRACTABLE, kFlag),
    TP_ATTRIBUTE(CKA_ALWAYS_SENSITIVE, kFlag),
    TP_ATTRIBUTE(CKA_NEVER_EXTRACTABLE, kFlag),
    TP_ATTRIBUTE(CKA_LOCAL, kFlag),
    TP_ATTRIBUTE(CKA_MODIFIABLE, kFlag),
    TP_ATTRIBUTE(CKA_COPYABLE, kFlag),
    TP_ATTRIBUTE(CKA_DESTROYABLE, kFlag),
    TP_ATTRIBUTE(CKA_ENCRYPT, kFlag),
    TP_ATTRIBUTE(CKA_DECRYPT, kFlag),
    TP_ATTRIBUTE(CKA_SIGN, kFlag),
    TP_ATTRIBUTE(CKA_SIGN_RECOVER, kFlag),
    TP_ATTRIBUTE(CKA_VERIFY, kFlag),
    TP_ATTRIBUTE(CKA_VERIFY_RECOVER, kFlag),
    TP_ATTRIBUTE(CKA_WRAP, kFlag),
    TP_ATTRIBUTE(CKA_UNWRAP, kFlag),
    TP_ATTRIBUTE(CKA_DERIVE, kFlag),
    TP_ATTRIBUTE(CKA_TRUSTED, kFlag),
    TP_ATTRIBUTE(CKA_WRAP_WITH_TRUSTED, kFlag),
    TP_ATTRIBUTE(CKA_ALWAYS_AUTHENTICATE, kFlag),
    TP_ATTRIBUTE(CKA_START_DATE, kDate),
    TP_ATTRIBUTE(CKA_END_DATE, kDate),
    TP_ATTRIBUTE(CKA_SUBJECT, kHex),
    TP_ATTRIBUTE(CKA_MODULUS_BITS, kNumber),
    TP_ATTRIBUTE(CKA_MODULUS, kHex),
    TP_ATTRIBUTE(CKA_PUBLIC_EXPONENT, kHex),
    TP_ATTRIBUTE(CKA_EC_PARAMS, kHex),
    TP_ATTRIBUTE(CKA_EC_POINT, kHex),
    TP_ATTRIBUTE(CKA_VALUE_LEN, kNumber),
    TP_ATTRIBUTE(CKA_KEY_GEN_MECHANISM, kMechanisms),
    TP_ATTRIBUTE(CKA_ALLOWED_MECHANISMS, kMechanisms),
#undef TP_ATTRIBUTE
};

std::string ClassName(CK_OBJECT_CLASS object_class);  // "private key"
std::string TypeName(CK_KEY_TYPE type);               // "RSA"

// nullopt: the token does not show it, or the object has none.
std::optional<std::string> AttributeText(pkcs11::Session& session, CK_OBJECT_HANDLE object,
                                         const Attribute& attribute);

}  // namespace trustpoint::hsm
