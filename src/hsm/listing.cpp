#include "hsm/listing.hpp"

#include "base/error.hpp"
#include "hsm/attributes.hpp"
#include "hsm/guard.hpp"
#include "hsm/mechanism.hpp"
#include "pkcs11/object.hpp"

namespace trustpoint::hsm {
namespace {

using pkcs11::Session;

struct UsageFlag {
  CK_ATTRIBUTE_TYPE type;
  const char* name;
};
constexpr UsageFlag kUsageFlags[] = {
    {CKA_SIGN, "sign"},       {CKA_SIGN_RECOVER, "sign_recover"},
    {CKA_VERIFY, "verify"},   {CKA_ENCRYPT, "encrypt"},
    {CKA_DECRYPT, "decrypt"}, {CKA_WRAP, "wrap"},
    {CKA_UNWRAP, "unwrap"},   {CKA_DERIVE, "derive"},
};

std::vector<std::uint8_t> ReadOrEmpty(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  return pkcs11::ReadBytes(session, object, type).value_or(std::vector<std::uint8_t>());
}

std::string UsageOf(Session& session, CK_OBJECT_HANDLE object) {
  std::string usage;
  for (const UsageFlag& flag : kUsageFlags) {
    if (!pkcs11::ReadBool(session, object, flag.type).value_or(false)) continue;
    if (!usage.empty()) usage += ", ";
    usage += flag.name;
  }
  return usage;
}

void ReadKeyFacts(Session& session, CK_OBJECT_HANDLE object, CK_KEY_TYPE type, ObjectInfo* info) {
  info->type = TypeName(type);
  if (type == CKK_RSA) {
    const auto modulus = ReadOrEmpty(session, object, CKA_MODULUS);
    info->bits = static_cast<unsigned>(modulus.size() * 8);
    if (!modulus.empty() && modulus[0] == 0) info->bits -= 8;
  } else if (type == CKK_EC) {
    const auto curve = crypto::CurveFromOid(ReadOrEmpty(session, object, CKA_EC_PARAMS));
    if (curve)
      info->curve = crypto::CurveName(*curve);
    else
      info->curve = AttributeText(session, object, {CKA_EC_PARAMS, "", Kind::kHex}).value_or("");
  } else if (type == CKK_AES) {
    info->bits = static_cast<unsigned>(pkcs11::ReadUlong(session, object, CKA_VALUE_LEN).value_or(0) * 8);
    const auto mode = ModeOfMechanisms(ReadOrEmpty(session, object, CKA_ALLOWED_MECHANISMS));
    if (mode) info->mode = AesModeName(*mode);
  }
  info->usage = UsageOf(session, object);
  info->sensitive = pkcs11::ReadBool(session, object, CKA_SENSITIVE);
  info->extractable = pkcs11::ReadBool(session, object, CKA_EXTRACTABLE);
  info->always_sensitive = pkcs11::ReadBool(session, object, CKA_ALWAYS_SENSITIVE);
  info->never_extractable = pkcs11::ReadBool(session, object, CKA_NEVER_EXTRACTABLE);
  info->local = pkcs11::ReadBool(session, object, CKA_LOCAL);
}

ObjectInfo Describe(Session& session, CK_OBJECT_HANDLE object) {
  ObjectInfo info;
  const CK_OBJECT_CLASS object_class =
      pkcs11::ReadUlong(session, object, CKA_CLASS).value_or(CK_UNAVAILABLE_INFORMATION);
  info.object_class = ClassName(object_class);
  const auto label = ReadOrEmpty(session, object, CKA_LABEL);
  info.label.assign(label.begin(), label.end());
  info.id = ReadOrEmpty(session, object, CKA_ID);
  info.kek = IsKekId(info.id);
  info.modifiable = pkcs11::ReadBool(session, object, CKA_MODIFIABLE);
  const bool is_key =
      object_class == CKO_PRIVATE_KEY || object_class == CKO_PUBLIC_KEY || object_class == CKO_SECRET_KEY;
  if (!is_key) return info;
  const auto type = pkcs11::ReadUlong(session, object, CKA_KEY_TYPE);
  if (type) ReadKeyFacts(session, object, *type, &info);
  return info;
}

// Whether another process took the object away since the search.
bool IsGone(unsigned long rv) { return rv == CKR_OBJECT_HANDLE_INVALID; }

}  // namespace

std::vector<ObjectInfo> ListObjects(Session& session) {
  pkcs11::Template any;
  any.Add(CKA_TOKEN, true);
  std::vector<ObjectInfo> objects;
  for (const CK_OBJECT_HANDLE object : pkcs11::FindAll(session, any)) {
    try {
      objects.push_back(Describe(session, object));
    } catch (const base::Error& error) {
      if (!IsGone(error.token_code())) throw;
    }
  }
  return objects;
}

std::vector<AttributeInfo> ReadAttributes(Session& session, const TokenKey& key) {
  RefuseKek(key.id, key.label);
  std::vector<AttributeInfo> all;
  for (const CK_OBJECT_HANDLE object : {key.secret, key.public_object}) {
    if (object == CK_INVALID_HANDLE) continue;
    const std::string object_class =
        ClassName(pkcs11::ReadUlong(session, object, CKA_CLASS).value_or(CK_UNAVAILABLE_INFORMATION));
    for (const Attribute& attribute : kAttributes) {
      auto text = AttributeText(session, object, attribute);
      if (text) all.push_back({object_class, attribute.name, std::move(*text)});
    }
  }
  return all;
}

}  // namespace trustpoint::hsm
