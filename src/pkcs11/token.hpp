// Slots, tokens, and the choice of one of them by label, serial or RFC 7512 URI.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pkcs11/cryptoki.hpp"
#include "pkcs11/module.hpp"
#include "pkcs11/pin.hpp"

namespace trustpoint::pkcs11 {

// Texts are without the padding of PKCS#11.
struct TokenInfo {
  CK_SLOT_ID slot = 0;
  std::string slot_description;
  bool token_present = false;
  std::string label, manufacturer, model, serial;  // empty without a token
  std::string hardware_version, firmware_version;
  CK_FLAGS flags = 0;
  CK_ULONG min_pin = 0, max_pin = 0;
  bool initialized() const { return (flags & CKF_TOKEN_INITIALIZED) != 0; }
};

struct MechanismInfo {
  CK_MECHANISM_TYPE type;
  std::string name;  // "CKM_AES_GCM", or "0x8..." where there is no standard name
  CK_ULONG min_key_size, max_key_size;
  CK_FLAGS flags;
};

// C_GetTokenInfo, up to three times, the last after 10 ms: SoftHSM fails one call in 150 while others log in
// (CKR_GENERAL_ERROR).
CK_RV AskToken(const CK_FUNCTION_LIST& api, CK_SLOT_ID slot, CK_TOKEN_INFO* info) noexcept;
// The token in the slot. Throws as Check.
TokenInfo ReadToken(Module& module, CK_SLOT_ID slot);
// Whether the token is there, by AskToken.
bool TokenAnswers(Module& module, CK_SLOT_ID slot) noexcept;
// All slots. One whose information cannot be read is listed without a token, never an error.
std::vector<TokenInfo> ListSlots(Module& module);
std::vector<MechanismInfo> ListMechanisms(Module& module, CK_SLOT_ID slot);
// False too when the module does not list it.
bool HasMechanism(Module& module, CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_FLAGS needed);

// The one initialised token that matches: a label, or
// "pkcs11:token=...;serial=...;manufacturer=...;model=..."; empty: the only initialised token. Throws
// kNotFound, kExists (two match), kInvalidArgument (bad URI; pin-value, pin-source and module-path are
// refused by name).
TokenInfo SelectToken(Module& module, const std::string& selector);

// Throws kTokenRefused when the PIN is locked or one more wrong one would lock it, kTokenUnreachable when the
// token has none yet.
void CheckPinFlags(const TokenInfo& token);
// Throws kNotConfigured when the token would not take a PIN of this length: it may count it as a wrong one.
void CheckPinLength(const TokenInfo& token, const Pin& pin, std::string_view setting);

// Initialises the token in the slot: label (1 to 32 bytes), SO PIN, then the user PIN. An initialised token
// only with force. Behind the gate only. Returns what the token then is (SoftHSM gives it a new slot).
TokenInfo InitToken(Module& module, CK_SLOT_ID slot, const std::string& label, const Pin& so_pin,
                    const Pin& pin, bool force);

}  // namespace trustpoint::pkcs11
