#include "pkcs11/token.hpp"

#include <unistd.h>

#include <algorithm>

#include "base/error.hpp"
#include "pkcs11/retry.hpp"
#include "pkcs11/rv.hpp"
#include "pkcs11/text.hpp"
#include "pkcs11/uri.hpp"

namespace trustpoint::pkcs11 {
namespace {

using base::Error;
using base::ErrorCode;

// In which a login that lost the processor while it wrote comes to its end. Waited for here, as an operation
// that has sent something cannot be run again.
constexpr useconds_t kLastTryPause = 10'000;

// What a token must be; an empty selector leaves all open.
TokenUri Wanted(const std::string& selector) {
  if (IsUri(selector)) return ParseTokenUri(selector);
  TokenUri wanted;
  if (!selector.empty()) wanted.token = selector;
  return wanted;
}

bool Matches(const TokenUri& wanted, const TokenInfo& token) {
  const auto fits = [](const std::optional<std::string>& want, const std::string& is) {
    return !want || *want == is;
  };
  return token.initialized() && fits(wanted.token, token.label) && fits(wanted.serial, token.serial) &&
         fits(wanted.manufacturer, token.manufacturer) && fits(wanted.model, token.model);
}

std::string Named(const std::string& selector) {
  return selector.empty() ? "an initialised token" : "a token \"" + selector + "\"";
}

[[noreturn]] void ThrowNoToken(const std::string& selector, const std::vector<TokenInfo>& slots) {
  const auto readable = [](const TokenInfo& slot) { return slot.token_present; };
  const auto count = std::count_if(slots.begin(), slots.end(), readable);
  // A slot that should hold a token and does not show it may hold this one.
  const bool whole = count > 0 && count == static_cast<std::ptrdiff_t>(slots.size());
  throw Error(whole ? ErrorCode::kNotFound : ErrorCode::kTokenUnreachable,
              "the module does not show " + Named(selector),
              std::to_string(slots.size()) + " slots, " + std::to_string(count) + " with a readable token.",
              "Check trustpoint.token, that the token is connected, and that the server may read its files.")
      .WithTokenCode(CKR_TOKEN_NOT_PRESENT);
}

}  // namespace

CK_RV AskToken(const CK_FUNCTION_LIST& api, CK_SLOT_ID slot, CK_TOKEN_INFO* info) noexcept {
  CK_RV rv = api.C_GetTokenInfo(slot, info);
  for (int i = 1; i < kTokenInfoTries && rv != CKR_OK && rv != CKR_TOKEN_NOT_PRESENT; ++i) {
    if (i > 1 && rv == CKR_GENERAL_ERROR) usleep(kLastTryPause);
    rv = api.C_GetTokenInfo(slot, info);
  }
  return rv;
}

TokenInfo ReadToken(Module& module, CK_SLOT_ID slot) {
  CK_TOKEN_INFO info = {};
  Check(AskToken(*module.api(), slot, &info), "C_GetTokenInfo");
  TokenInfo token;
  token.slot = slot;
  token.token_present = true;
  token.label = Unpadded(info.label);
  token.manufacturer = Unpadded(info.manufacturerID);
  token.model = Unpadded(info.model);
  token.serial = Unpadded(info.serialNumber);
  token.hardware_version = VersionText(info.hardwareVersion);
  token.firmware_version = VersionText(info.firmwareVersion);
  token.flags = info.flags;
  token.min_pin = info.ulMinPinLen;
  token.max_pin = info.ulMaxPinLen;
  CK_SLOT_INFO slot_info = {};
  if (module.api()->C_GetSlotInfo(slot, &slot_info) == CKR_OK)
    token.slot_description = Unpadded(slot_info.slotDescription);
  return token;
}

bool TokenAnswers(Module& module, CK_SLOT_ID slot) noexcept {
  CK_TOKEN_INFO info = {};
  return AskToken(*module.api(), slot, &info) == CKR_OK;
}

std::vector<TokenInfo> ListSlots(Module& module) {
  // The count is asked for although a large buffer would do: SoftHSM looks for new tokens only then.
  CK_ULONG count = 0;
  Check(module.api()->C_GetSlotList(CK_FALSE, nullptr, &count), "C_GetSlotList");
  std::vector<CK_SLOT_ID> ids(count + 16);
  count = ids.size();
  Check(module.api()->C_GetSlotList(CK_FALSE, ids.data(), &count), "C_GetSlotList");
  ids.resize(std::min<std::size_t>(count, ids.size()));  // a module may count more than it has room for

  std::vector<TokenInfo> slots;
  for (const CK_SLOT_ID id : ids) {
    try {
      slots.push_back(ReadToken(module, id));
    } catch (const Error&) {  // empty, or its token is broken: another slot may be the one
      TokenInfo empty;
      empty.slot = id;
      CK_SLOT_INFO info = {};
      if (module.api()->C_GetSlotInfo(id, &info) == CKR_OK)
        empty.slot_description = Unpadded(info.slotDescription);
      slots.push_back(empty);
    }
  }
  return slots;
}

TokenInfo SelectToken(Module& module, const std::string& selector) {
  const TokenUri wanted = Wanted(selector);
  const std::vector<TokenInfo> slots = ListSlots(module);
  const TokenInfo* match = nullptr;
  for (const TokenInfo& slot : slots) {
    if (!Matches(wanted, slot)) continue;
    if (match)
      throw Error(ErrorCode::kExists, "more than one token matches trustpoint.token",
                  "Serial " + match->serial + " and serial " + slot.serial + " do.",
                  "Name one by its serial: pkcs11:token=NAME;serial=NUMBER.");
    match = &slot;
  }
  if (!match) ThrowNoToken(selector, slots);
  return *match;
}

}  // namespace trustpoint::pkcs11
