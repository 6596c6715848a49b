// InitToken: the life of a token begins here.

#include <algorithm>
#include <string>

#include "base/error.hpp"
#include "pkcs11/rv.hpp"
#include "pkcs11/session.hpp"
#include "pkcs11/token.hpp"

namespace trustpoint::pkcs11 {
namespace {

using base::Error;
using base::ErrorCode;

CK_UTF8CHAR* Text(const Pin& pin) { return const_cast<CK_UTF8CHAR*>(pin.text.view().data()); }

void CheckTarget(const TokenInfo& token, const std::string& label, bool force) {
  if (label.empty() || label.size() > 32)
    throw Error(ErrorCode::kInvalidArgument, "a token's label must be 1 to 32 bytes long");
  if (token.initialized() && !force)
    throw Error(ErrorCode::kExists, "the slot holds an initialised token \"" + token.label + "\"",
                "Initialising it again destroys all keys in it.");
  if (token.initialized() && (token.flags & (CKF_SO_PIN_LOCKED | CKF_SO_PIN_FINAL_TRY)) != 0)
    throw Error(ErrorCode::kTokenRefused, "the SO PIN is locked, or would be after one more wrong try",
                token.flags & CKF_SO_PIN_LOCKED ? "CKF_SO_PIN_LOCKED" : "CKF_SO_PIN_FINAL_TRY",
                "Use the token's own tools.");
}

// The token in the slot, or kNotFound: modules answer a slot that is not theirs each in its own way.
TokenInfo TokenIn(Module& module, CK_SLOT_ID slot) {
  const std::vector<TokenInfo> slots = ListSlots(module);
  if (std::none_of(slots.begin(), slots.end(), [&](const TokenInfo& info) { return info.slot == slot; }))
    throw Error(ErrorCode::kNotFound, "the module has no slot " + std::to_string(slot), {},
                "tp_hsm_slots() lists them.");
  return ReadToken(module, slot);
}

void SetUserPin(Module& module, CK_SLOT_ID slot, const Pin& so_pin, const Pin& pin) {
  Session session(module, slot);
  CK_FUNCTION_LIST* api = session.api();
  session.Check(api->C_Login(session.handle(), CKU_SO, Text(so_pin), so_pin.text.size()), "C_Login");
  const CK_RV rv = api->C_InitPIN(session.handle(), Text(pin), pin.text.size());
  api->C_Logout(session.handle());
  session.Check(rv, "C_InitPIN");
}

}  // namespace

TokenInfo InitToken(Module& module, CK_SLOT_ID slot, const std::string& label, const Pin& so_pin,
                    const Pin& pin, bool force) {
  const TokenInfo before = TokenIn(module, slot);
  CheckTarget(before, label, force);
  CheckPinLength(before, so_pin, "trustpoint.so_pin_file");
  CheckPinLength(before, pin, "trustpoint.pin_file");

  CK_UTF8CHAR padded[32];
  std::fill(std::copy(label.begin(), label.end(), padded), padded + sizeof padded, ' ');
  Check(module.api()->C_InitToken(slot, Text(so_pin), so_pin.text.size(), padded), "C_InitToken");
  SetUserPin(module, slot, so_pin, pin);
  return ReadToken(module, slot);
}

}  // namespace trustpoint::pkcs11
