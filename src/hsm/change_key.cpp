#include "hsm/change_key.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"
#include "hsm/guard.hpp"
#include "pkcs11/object.hpp"

namespace trustpoint::hsm {
namespace {

using base::Error;
using base::ErrorCode;
using pkcs11::Session;
using pkcs11::Template;

constexpr std::size_t kMostObjects = 64;

bool IsKey(std::optional<CK_ULONG> object_class) {
  return object_class == CKO_PRIVATE_KEY || object_class == CKO_SECRET_KEY || object_class == CKO_PUBLIC_KEY;
}

// In both halves of a pair.
void SetValue(Session& session, const TokenKey& key, CK_ATTRIBUTE_TYPE type, base::Bytes value) {
  for (const CK_OBJECT_HANDLE object : {key.secret, key.public_object}) {
    if (object == CK_INVALID_HANDLE) continue;
    Template change;
    change.Add(type, value);
    session.Check(session.api()->C_SetAttributeValue(session.handle(), object, change.data(), change.size()),
                  "C_SetAttributeValue");
  }
}

// "2026-01-31" as the eight characters of a CK_DATE.
std::string DateFrom(std::string_view text) {
  std::string date;
  bool good = text.empty() || text.size() == 10;
  for (std::size_t i = 0; good && i < text.size(); ++i) {
    const bool dash = i == 4 || i == 7;
    good = dash ? text[i] == '-' : text[i] >= '0' && text[i] <= '9';
    if (!dash) date += text[i];
  }
  if (good && !date.empty()) {
    const int month = std::stoi(date.substr(4, 2)), day = std::stoi(date.substr(6, 2));
    good = month >= 1 && month <= 12 && day >= 1 && day <= 31;
  }
  if (!good) throw Error(ErrorCode::kInvalidArgument, "not a date", {}, "Write it like 2026-01-31.");
  return date;
}

}  // namespace

void RequireFreeLabel(Session& session, std::string_view label, base::Bytes except_id) {
  Template search;
  search.Add(CKA_LABEL, label);
  for (const CK_OBJECT_HANDLE object : pkcs11::Find(session, search, kMostObjects)) {
    if (!IsKey(pkcs11::ReadUlong(session, object, CKA_CLASS))) continue;
    const auto id = pkcs11::ReadBytes(session, object, CKA_ID);
    if (!id || id->empty() || !std::ranges::equal(*id, except_id))
      throw Error(ErrorCode::kExists, "the token has a key \"" + std::string(label) + "\" already", {},
                  "Choose another label, or destroy that key first.");
  }
}

void RenameKey(Session& session, const TokenKey& key, std::string_view new_label) {
  RefuseKek(key.id, key.label);
  CheckNewLabel(new_label);
  RequireFreeLabel(session, new_label, key.id);
  SetValue(session, key, CKA_LABEL, base::AsBytes(new_label));
}

void SetKeyAttribute(Session& session, const TokenKey& key, std::string_view attribute,
                     std::string_view value) {
  RefuseKek(key.id, key.label);
  CK_ATTRIBUTE_TYPE type = CKA_START_DATE;
  if (attribute == "CKA_END_DATE")
    type = CKA_END_DATE;
  else if (attribute != "CKA_START_DATE")
    throw Error(
        ErrorCode::kInvalidArgument, "this attribute is not changed", {},
        "CKA_START_DATE and CKA_END_DATE are; what a key may do never is, and tp_rename_key sets the label.");
  SetValue(session, key, type, base::AsBytes(DateFrom(value)));
}

std::size_t DestroyKey(Session& session, base::Bytes id) {
  if (id.empty()) throw Error(ErrorCode::kInvalidArgument, "a key without an id is not destroyed");
  RefuseKek(id, {});
  Template search;
  search.Add(CKA_ID, id);
  std::size_t destroyed = 0;
  for (const CK_OBJECT_HANDLE object : pkcs11::Find(session, search, kMostObjects)) {
    if (!IsKey(pkcs11::ReadUlong(session, object, CKA_CLASS))) continue;
    const auto label = pkcs11::ReadBytes(session, object, CKA_LABEL);
    if (label) RefuseKek({}, base::AsText(*label));
    session.MarkSent();
    pkcs11::Destroy(session, object);
    ++destroyed;
  }
  return destroyed;
}

}  // namespace trustpoint::hsm
