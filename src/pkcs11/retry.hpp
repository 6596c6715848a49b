// What a failed call calls for: the one table of the recovery policy. Connection carries it out.
#pragma once

#include <cstdint>

#include "pkcs11/cryptoki.hpp"

namespace trustpoint::pkcs11 {

// A failure by its cause.
enum class Class : std::uint8_t {
  kSession,       // the session is gone, or stuck in an operation
  kHandle,        // the object is not there, or no longer under this handle
  kLogin,         // the user is logged out
  kDevice,        // token, module or the way to them is gone
  kDeviceOrData,  // SoftHSM says so of a broken token and of damaged input alike
  kResources,     // no free session or memory at the moment
  kPermanent,     // it would fail again
};
Class ClassOf(CK_RV rv) noexcept;

// What to do about it, at most once per operation, but for kWait.
enum class Recovery : std::uint8_t {
  kNone,          // report it
  kReopen,        // run again in a new session
  kRefind,        // run again; handles that were kept are void
  kLogin,         // start again: the session is gone, the module is well
  kReinitialize,  // start again with a new C_Initialize
  kAskToken,      // C_GetTokenInfo decides: kReinitialize when it fails, else kNone
  kWait,          // run again after a while, for one second in all
};

// function: the name of the call that failed; rv CKR_OK when no call did, but an object was not found.
Recovery RecoveryFor(CK_RV rv, const char* function) noexcept;

// During a start: the token may have been seen half-written or not at all; finalize, wait, look again.
bool IsHalfWritten(CK_RV rv) noexcept;

// An answer that may stand for anything, bad input and a wrong PIN included.
bool IsVague(CK_RV rv) noexcept;

// The limits of one operation.
inline constexpr int kStartTries = 8;
inline constexpr int kTokenInfoTries = 3;
inline constexpr unsigned kMaxWaitMs = 1000;

}  // namespace trustpoint::pkcs11
