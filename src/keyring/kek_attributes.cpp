#include "keyring/kek_attributes.hpp"

#include <optional>

#include "base/error.hpp"

namespace trustpoint::keyring {
namespace {

using base::Error;
using base::ErrorCode;

// An attribute that the module does not know at all cannot be demanded.
struct Demand {
  CK_ATTRIBUTE_TYPE type;
  const char* name;
  bool value;
};

constexpr Demand kDemands[] = {
    {CKA_TOKEN, "CKA_TOKEN", true},
    {CKA_PRIVATE, "CKA_PRIVATE", true},
    {CKA_SENSITIVE, "CKA_SENSITIVE", true},
    {CKA_EXTRACTABLE, "CKA_EXTRACTABLE", false},
    {CKA_MODIFIABLE, "CKA_MODIFIABLE", false},
    {CKA_COPYABLE, "CKA_COPYABLE", false},
    {CKA_SIGN, "CKA_SIGN", false},
    {CKA_VERIFY, "CKA_VERIFY", false},
    {CKA_DERIVE, "CKA_DERIVE", false},
};

constexpr Demand kUses[2][4] = {
    {{CKA_WRAP, "CKA_WRAP", true},
     {CKA_UNWRAP, "CKA_UNWRAP", true},
     {CKA_ENCRYPT, "CKA_ENCRYPT", false},
     {CKA_DECRYPT, "CKA_DECRYPT", false}},
    {{CKA_WRAP, "CKA_WRAP", false},
     {CKA_UNWRAP, "CKA_UNWRAP", false},
     {CKA_ENCRYPT, "CKA_ENCRYPT", true},
     {CKA_DECRYPT, "CKA_DECRYPT", true}},
};

// Runs visit(demand) for every demand on a KEK of this use.
template <class Visit>
void ForEachDemand(KekUse use, Visit visit) {
  for (const Demand& demand : kDemands) visit(demand);
  for (const Demand& demand : kUses[use == KekUse::kWrap ? 0 : 1]) visit(demand);
}

void Append(std::string* list, std::string_view entry) {
  if (!list->empty()) *list += ", ";
  *list += entry;
}

}  // namespace

void AddKekAttributes(pkcs11::Template* attributes, KekUse use) {
  ForEachDemand(use, [&](const Demand& demand) { attributes->Add(demand.type, demand.value); });
}

std::string CheckKekAttributes(pkcs11::Session& session, CK_OBJECT_HANDLE kek, std::string_view label,
                               KekUse use) {
  std::string weak, unknown;
  ForEachDemand(use, [&](const Demand& demand) {
    const std::optional<bool> value = pkcs11::ReadBool(session, kek, demand.type);
    if (!value)
      Append(&unknown, demand.name);
    else if (*value != demand.value)
      Append(&weak, std::string(demand.name) + (*value ? " is true" : " is false"));
    // These two are what makes it a KEK: unknown is as bad as wrong.
    if (!value && (demand.type == CKA_SENSITIVE || demand.type == CKA_EXTRACTABLE))
      Append(&weak, std::string(demand.name) + " cannot be read");
  });
  if (pkcs11::ReadUlong(session, kek, CKA_KEY_TYPE) != CKK_AES) Append(&weak, "it is no AES key");
  if (weak.empty()) return unknown;
  throw Error(ErrorCode::kWrongKek,
              "the key \"" + std::string(label) + "\" in the token is too weak to be a KEK", weak,
              "Somebody changed the key or made it by other means. Compare it with a backup of the token.");
}

}  // namespace trustpoint::keyring
