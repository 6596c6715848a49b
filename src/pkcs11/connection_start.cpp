// Connection::Start: from nothing to a login, and what to do when that fails.

#include <time.h>
#include <unistd.h>

#include <string>

#include "pkcs11/connection.hpp"
#include "pkcs11/retry.hpp"
#include "pkcs11/rv.hpp"
#include "pkcs11/softhsm_files.hpp"

namespace trustpoint::pkcs11 {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::string_view kPinSetting = "trustpoint.pin_file";
constexpr int kFirstBackoffMs = 5;

// 0 to limit, different in processes that began together.
int Jitter(int limit) {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int>(
      (static_cast<unsigned long>(now.tv_nsec) ^ static_cast<unsigned long>(getpid()) * 7919) %
      static_cast<unsigned long>(limit + 1));
}

}  // namespace

void Connection::Start(Level level) {
  for (;;) {
    try {
      Advance(level);
      return;
    } catch (const Error& error) {
      DropSessions();
      RecoverStart(error);
    } catch (...) {
      DropSessions();
      throw;
    }
  }
}

void Connection::Advance(Level level) {
  if (replace_) {
    Release();
    if (module_) module_->Finalize();
    module_.reset();  // first, as it puts the environment back
    module_ = make_module_(config_);
    replace_ = reinitialize_ = false;
  }
  if (reinitialize_ || !module_->initialized()) InitializeModule();
  if (level >= Level::kToken && level_ < Level::kToken) OpenToken();
  if (level >= Level::kLogin && level_ < Level::kLogin) Login();
}

void Connection::InitializeModule() {
  DropSessions();  // also those that a fork copied
  module_->Finalize();
  module_->ApplyEnvironment();
  mended_files_ += MendSoftHsmFiles(config_.module);
  module_->Initialize(config_.init_args);
  reinitialize_ = false;
  fresh_ = true;
  pin_file_.reset();
}

void Connection::OpenToken() {
  token_ = SelectToken(*module_, config_.token);
  anchor_ = std::make_unique<Session>(*module_, token_.slot);
  work_.reset();
  seen_ = true;
  level_ = Level::kToken;
}

void Connection::Login() {
  token_ = ReadToken(*module_, token_.slot);  // its flags may be newer than the session
  logged_in_ = shows_login_ = false;
  if ((token_.flags & CKF_LOGIN_REQUIRED) != 0) {
    CheckPinFlags(token_);
    const Pin pin = ReadPin(config_.pin_file, kPinSetting);
    CheckPinLength(token_, pin, kPinSetting);
    // A module may keep what it read of the token at C_Initialize. SoftHSM then refuses a PIN that was
    // changed since.
    if (!fresh_ && pin_file_ != pin.file) {
      InitializeModule();
      OpenToken();
      CheckPinFlags(token_);  // once more: that other one may have used up the tries too
      CheckPinLength(token_, pin, kPinSetting);
    }
    SendPin(pin);
    pin_file_ = pin.file;
    CK_SESSION_INFO info = {};
    shows_login_ = module_->api()->C_GetSessionInfo(anchor_->handle(), &info) == CKR_OK &&
                   info.state == CKS_RW_USER_FUNCTIONS;
  }
  level_ = Level::kLogin;
}

void Connection::SendPin(const Pin& pin) {
  memo_->Check(config_.module, token_.serial, pin);
  memo_->Begin(config_.module, token_.serial, pin);
  const CK_RV rv = module_->api()->C_Login(anchor_->handle(), CKU_USER,
                                           const_cast<CK_UTF8CHAR*>(pin.text.view().data()), pin.text.size());
  if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
    memo_->Succeeded();
  else if (IsPinRefusal(rv))
    memo_->Refused(rv);
  else if (!IsVague(rv))
    memo_->Undecided();
  // A vague answer stays a try that was cut off: some tokens say so of a wrong PIN, and would lock.
  logged_in_ = rv == CKR_OK;
  if (rv != CKR_USER_ALREADY_LOGGED_IN) Check(rv, "C_Login");
}

// Returns when the start shall be tried again at once, else throws.
void Connection::RecoverStart(const Error& error) {
  const CK_RV rv = error.token_code();
  if (IsHalfWritten(rv)) WaitForToken(error);
  switch (ClassOf(rv)) {
    case Class::kDevice:
    case Class::kDeviceOrData:
      reinitialize_ = true;
      if (Spend(&budget_.reinitialize)) return;
      throw error;
    case Class::kSession:
    case Class::kHandle:
    case Class::kLogin:
      if (Spend(&budget_.reopen)) return;
      throw error;
    case Class::kResources:
      WaitForResources(error, true);
    case Class::kPermanent:
      throw error;
  }
}

void Connection::WaitForToken(const Error& error) {
  if (module_) module_->Finalize();  // what it has read is of no use
  const int done = kStartTries - --budget_.start_tries;
  if (budget_.start_tries > 0) {
    const int backoff = kFirstBackoffMs << (done - 1);
    throw Error(ErrorCode::kBusy, error.what(), error.failure().detail)
        .WithWait(static_cast<std::uint16_t>(backoff + Jitter(backoff)));
  }
  // A token that was there before was taken away; one that never was is a wrong name.
  if (error.code() != ErrorCode::kNotFound || !seen_) throw error;
  throw Error(ErrorCode::kTokenUnreachable, "the token \"" + token_.label + "\" is not present",
              error.failure().detail,
              "Connect the token again, or restore its files. The next statement tries again.")
      .WithTokenCode(error.token_code());
}

}  // namespace trustpoint::pkcs11
