#include "hsm/change_key.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"
#include "crypto/certificate.hpp"
#include "hsm/guard.hpp"
#include "pkcs11/object.hpp"

namespace trustpoint::hsm {
namespace {

using base::Error;
using base::ErrorCode;
using pkcs11::Session;
using pkcs11::Template;

bool IsKey(Session& session, CK_OBJECT_HANDLE object) {
  switch (pkcs11::ReadUlong(session, object, CKA_CLASS).value_or(CKO_DATA)) {
    case CKO_PRIVATE_KEY:
    case CKO_SECRET_KEY:
    case CKO_PUBLIC_KEY:
      return true;
    default:
      return false;
  }
}

// The key objects that match; certificates may do so too, as many as there are.
std::vector<CK_OBJECT_HANDLE> FindKeys(Session& session, CK_ATTRIBUTE_TYPE type, base::Bytes value) {
  Template search;
  search.Add(type, value);
  auto found = pkcs11::FindAll(session, search);
  std::erase_if(found, [&](CK_OBJECT_HANDLE object) { return !IsKey(session, object); });
  return found;
}

CK_RV WriteValue(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, base::Bytes value) {
  Template change;
  change.Add(type, value);
  return session.api()->C_SetAttributeValue(session.handle(), object, change.data(), change.size());
}

// SoftHSM takes a date for a private object, and fails whenever it is read again.
bool Keeps(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, base::Bytes value) {
  std::vector<std::uint8_t> read(value.size() + 64);
  CK_ATTRIBUTE attribute = {type, read.data(), read.size()};
  const CK_RV rv = session.api()->C_GetAttributeValue(session.handle(), object, &attribute, 1);
  return rv == CKR_OK &&
         std::ranges::equal(value, base::Bytes(read).first(std::min(attribute.ulValueLen, read.size())));
}

// In both halves of a pair. Where one does not keep the value it stays empty there, and the other must.
void SetValue(Session& session, const TokenKey& key, CK_ATTRIBUTE_TYPE type, base::Bytes value) {
  bool kept = value.empty();
  for (const CK_OBJECT_HANDLE object : {key.secret, key.public_object}) {
    if (object == CK_INVALID_HANDLE) continue;
    session.Check(WriteValue(session, object, type, value), "C_SetAttributeValue");
    if (value.empty()) continue;
    if (Keeps(session, object, type, value))
      kept = true;
    else
      WriteValue(session, object, type, {});
  }
  if (!kept)
    throw Error(ErrorCode::kTokenRefused,
                "the token does not keep this attribute of the key \"" + key.label + "\"");
}

std::string ReadLabel(Session& session, CK_OBJECT_HANDLE object) {
  if (object == CK_INVALID_HANDLE) return {};
  const auto label = pkcs11::ReadBytes(session, object, CKA_LABEL);
  return label ? std::string(base::AsText(*label)) : std::string();
}

void WriteLabel(Session& session, CK_OBJECT_HANDLE object, std::string_view label) {
  if (object != CK_INVALID_HANDLE)
    session.Check(WriteValue(session, object, CKA_LABEL, base::AsBytes(label)), "C_SetAttributeValue");
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
  for (const CK_OBJECT_HANDLE object : FindKeys(session, CKA_LABEL, base::AsBytes(label))) {
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
  RestoreLabels(session, key, {std::string(new_label), std::string(new_label)});
}

Labels ReadLabels(Session& session, const TokenKey& key) {
  return {ReadLabel(session, key.secret), ReadLabel(session, key.public_object)};
}

void RestoreLabels(Session& session, const TokenKey& key, const Labels& labels) {
  RefuseKek(key.id, key.label);
  WriteLabel(session, key.secret, labels.secret);
  WriteLabel(session, key.public_object, labels.public_half);
}

void SetKeyAttribute(Session& session, const TokenKey& key, std::string_view attribute,
                     std::string_view value) {
  RefuseKek(key.id, key.label);
  if (attribute == "CKA_SUBJECT") {
    const auto subject = value.empty() ? std::vector<std::uint8_t>() : crypto::SubjectDer(value);
    SetValue(session, key, CKA_SUBJECT, subject);
  } else if (attribute == "CKA_START_DATE" || attribute == "CKA_END_DATE") {
    SetValue(session, key, attribute == "CKA_END_DATE" ? CKA_END_DATE : CKA_START_DATE,
             base::AsBytes(DateFrom(value)));
  } else {
    throw Error(ErrorCode::kInvalidArgument, "this attribute is not changed", {},
                "CKA_SUBJECT, CKA_START_DATE and CKA_END_DATE are. What a key may do never changes, and "
                "tp_rename_key "
                "sets the label.");
  }
}

std::size_t DestroyKey(Session& session, base::Bytes id) {
  if (id.empty()) throw Error(ErrorCode::kInvalidArgument, "a key without an id is not destroyed");
  RefuseKek(id, {});
  const auto objects = FindKeys(session, CKA_ID, id);
  for (const CK_OBJECT_HANDLE object : objects) {
    const auto label = pkcs11::ReadBytes(session, object, CKA_LABEL);
    if (label) RefuseKek({}, base::AsText(*label));
    session.MarkSent();
    pkcs11::Destroy(session, object);
  }
  if (!objects.empty() && !FindKeys(session, CKA_ID, id).empty())
    throw Error(ErrorCode::kTokenRefused, "the token still shows a key that it says it destroyed");
  return objects.size();
}

}  // namespace trustpoint::hsm
