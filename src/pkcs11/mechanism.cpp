// What a token can do: the mechanisms it lists.

#include <algorithm>
#include <string>

#include "pkcs11/mechanism_names.hpp"
#include "pkcs11/rv.hpp"
#include "pkcs11/token.hpp"

namespace trustpoint::pkcs11 {

std::vector<MechanismInfo> ListMechanisms(Module& module, CK_SLOT_ID slot) {
  CK_ULONG count = 0;
  Check(module.api()->C_GetMechanismList(slot, nullptr, &count), "C_GetMechanismList");
  std::vector<CK_MECHANISM_TYPE> types(count + 16);
  count = types.size();
  Check(module.api()->C_GetMechanismList(slot, types.data(), &count), "C_GetMechanismList");
  types.resize(std::min<std::size_t>(count, types.size()));  // a module may count more than it has room for

  std::vector<MechanismInfo> mechanisms;
  for (const CK_MECHANISM_TYPE type : types) {
    CK_MECHANISM_INFO info = {};
    if (module.api()->C_GetMechanismInfo(slot, type, &info) != CKR_OK) continue;  // listed, but not there
    mechanisms.push_back({type, MechanismName(type), info.ulMinKeySize, info.ulMaxKeySize, info.flags});
  }
  return mechanisms;
}

bool HasMechanism(Module& module, CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_FLAGS needed) {
  CK_MECHANISM_INFO info = {};
  const CK_RV rv = module.api()->C_GetMechanismInfo(slot, type, &info);
  if (rv == CKR_MECHANISM_INVALID) return false;
  Check(rv, "C_GetMechanismInfo");
  return (info.flags & needed) == needed;
}

}  // namespace trustpoint::pkcs11
