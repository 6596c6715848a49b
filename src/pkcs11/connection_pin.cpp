// What a connection does with PIN and session besides the start: change the one, show the other.

#include <algorithm>

#include "pkcs11/connection.hpp"
#include "pkcs11/retry.hpp"
#include "pkcs11/rv.hpp"
#include "pkcs11/softhsm_files.hpp"

namespace trustpoint::pkcs11 {
namespace {

using base::Error;
using base::ErrorCode;

CK_UTF8CHAR* Text(const Pin& pin) { return const_cast<CK_UTF8CHAR*>(pin.text.view().data()); }

}  // namespace

void Connection::ChangePin(Session& session, const Pin& new_pin, std::string_view setting) {
  const TokenInfo token = ReadToken(*module_, token_.slot);
  CheckPinFlags(token);
  const Pin pin = ReadPin(config_.pin_file, "trustpoint.pin_file");
  CheckPinLength(token, pin, "trustpoint.pin_file");
  CheckPinLength(token, new_pin, setting);
  if (std::ranges::equal(pin.text.view(), new_pin.text.view()))
    throw Error(ErrorCode::kNotConfigured, "the new PIN is the one that is set", {},
                "Write another PIN into the file of the new PIN.");
  // A wrong old PIN counts as a wrong try, so this goes by the memo as a login does.
  memo_->Check(config_.module, token.serial, pin);
  memo_->Begin(config_.module, token.serial, pin);
  session.MarkSent();
  const CK_RV rv = session.api()->C_SetPIN(session.handle(), Text(pin), pin.text.size(), Text(new_pin),
                                           new_pin.text.size());
  if (rv == CKR_OK) {
    memo_->Refused(CKR_PIN_INCORRECT);                  // what the token would say of the old PIN from now on
    mended_files_ += MendSoftHsmFiles(config_.module);  // the copy that it keeps opened by the old one
  } else if (rv == CKR_PIN_INCORRECT || rv == CKR_PIN_LOCKED)
    memo_->Refused(rv);
  else if (!IsVague(rv))  // the other refusals mean the new PIN
    memo_->Undecided();
  session.Check(rv, "C_SetPIN");
}

std::optional<CK_SESSION_INFO> Connection::SessionState() noexcept {
  CK_SESSION_INFO info = {};
  if (!started() || !anchor_ || module_->api()->C_GetSessionInfo(anchor_->handle(), &info) != CKR_OK)
    return std::nullopt;
  return info;
}

}  // namespace trustpoint::pkcs11
