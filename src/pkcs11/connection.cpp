#include "pkcs11/connection.hpp"

#include <algorithm>
#include <utility>

#include "pkcs11/retry.hpp"
#include "pkcs11/rv.hpp"

namespace trustpoint::pkcs11 {
namespace {

using base::Error;
using base::ErrorCode;

constexpr unsigned kFirstWaitMs = 10;

Error NeedStart() { return Error(ErrorCode::kNeedStart, "the token must be started"); }

// The same failure, once it is known to mean this.
Error Reworded(const Error& error, ErrorCode code, std::string_view message) {
  const base::Failure& failure = error.failure();
  return Error(code, message, failure.detail[0] != '\0' ? failure.detail : failure.message, failure.hint)
      .WithTokenCode(error.token_code());
}

}  // namespace

Connection::Connection(PinMemo* memo)
    : Connection(memo, [](const Config& config) {
        return std::make_unique<Module>(config.module, config.environment);
      }) {}

Connection::Connection(PinMemo* memo, MakeModule make_module)
    : memo_(memo), make_module_(std::move(make_module)) {}

Connection::~Connection() {
  if (anchor_) anchor_->Abandon();
  if (work_) work_->Abandon();
}

void Connection::Configure(const Config& config) {
  if (config == config_) return;
  replace_ = true;  // first: without memory for it the new configuration may be taken in part
  seen_ = false;
  level_ = Level::kModule;
  ++epoch_;
  config_ = config;
}

void Connection::BeginOperation() noexcept {
  budget_ = {};
  fresh_ = false;
}

bool Connection::Spend(int* left) noexcept {
  if (*left == 0) return false;
  --*left;
  return true;
}

bool Connection::started() const noexcept {
  return module_ && module_->initialized() && !replace_ && !reinitialize_;
}

void Connection::DropSessions() noexcept {
  work_.reset();
  anchor_.reset();
  logged_in_ = false;
  level_ = Level::kModule;
  ++epoch_;
}

void Connection::Release() noexcept {
  DropWork();
  // Sessions of others may live on the login in a module that others initialised.
  if (logged_in_ && anchor_ && module_->initialized() && !module_->foreign())
    module_->api()->C_Logout(anchor_->handle());
  DropSessions();
}

Session& Connection::Enter(Level level) {
  if (running_) throw Error(ErrorCode::kInternal, "an operation on the token began inside another");
  for (;;) {
    if (!started() || level_ < level) throw NeedStart();
    try {
      if (!work_) OpenWork();
      work_->ClearSent();
      return *work_;
    } catch (const Error& error) {
      Recover(error);
    }
  }
}

void Connection::OpenWork() {
  if (level_ == Level::kModule) {
    work_ = std::make_unique<Session>(*module_);
    return;
  }
  work_ = std::make_unique<Session>(*module_, token_.slot);
  // In a session without a login private objects do not exist, which would read as "no such key".
  if (level_ == Level::kLogin && LoginLost(*work_))
    throw MakeError(CKR_USER_NOT_LOGGED_IN, "C_GetSessionInfo");
}

bool Connection::LoginLost(Session& session) const noexcept {
  if (!shows_login_) return false;
  CK_SESSION_INFO info = {};
  const CK_RV rv = session.api()->C_GetSessionInfo(session.handle(), &info);
  return rv == CKR_OK && info.state != CKS_RW_USER_FUNCTIONS;
}

void Connection::Recover(const Error& error) {
  const CK_RV rv = error.token_code();
  const bool may_rerun = !work_ || !work_->sent();
  const char* const function = work_ ? work_->failed_in() : "";
  const bool missing = rv == CKR_OK && error.code() == ErrorCode::kNotFound && level_ >= Level::kToken;
  // Asked in the session that missed the object, so before it is dropped.
  const bool logged_out = missing && level_ == Level::kLogin && work_ && LoginLost(*work_);
  DropWork();  // an operation may still be active in it
  if (rv == CKR_OK && !missing) throw error;
  if (logged_out) RecoverLogin(error, may_rerun);

  switch (RecoveryFor(rv, function)) {
    case Recovery::kNone:
      throw error;
    case Recovery::kReopen:
      if (may_rerun && Spend(&budget_.reopen)) return;
      throw error;
    case Recovery::kRefind:
      ++epoch_;
      if (may_rerun && Spend(&budget_.refind)) return;
      if (TokenAnswers(*module_, token_.slot)) throw error;
      RecoverDevice(error, may_rerun);
    case Recovery::kLogin:
      RecoverLogin(error, may_rerun);
    case Recovery::kReinitialize:
      RecoverDevice(error, may_rerun);
    case Recovery::kAskToken:
      if (!TokenAnswers(*module_, token_.slot)) RecoverDevice(error, may_rerun);
      if (missing) throw error;
      throw Reworded(error, ErrorCode::kTokenRefused, "the token refused the operation");
    case Recovery::kWait:
      WaitForResources(error, may_rerun);
  }
}

void Connection::RecoverLogin(const Error& error, bool may_rerun) {
  DropSessions();
  if (may_rerun && Spend(&budget_.login)) throw NeedStart();
  throw error;
}

void Connection::RecoverDevice(const Error& error, bool may_rerun) {
  reinitialize_ = true;
  ++epoch_;
  if (may_rerun && Spend(&budget_.reinitialize)) throw NeedStart();
  if (error.code() == ErrorCode::kTokenUnreachable) throw error;
  throw Reworded(error, ErrorCode::kTokenUnreachable, "the token cannot be reached");
}

void Connection::WaitForResources(const Error& error, bool may_rerun) {
  const unsigned left = kMaxWaitMs - budget_.waited_ms;
  if (!may_rerun || left == 0) throw error;
  const unsigned wait = std::min(left, kFirstWaitMs << std::min(budget_.waits++, 5U));
  budget_.waited_ms += wait;
  throw Reworded(error, ErrorCode::kBusy, error.what()).WithWait(static_cast<std::uint16_t>(wait));
}

}  // namespace trustpoint::pkcs11
