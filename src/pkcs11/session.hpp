// One PKCS#11 session, and the choke point of every C_* call made through it.
#pragma once

#include <cstdint>

#include "pkcs11/cryptoki.hpp"
#include "pkcs11/module.hpp"

namespace trustpoint::pkcs11 {

class Session {
 public:
  // A CKF_RW_SESSION on the slot. Throws as Check.
  Session(Module& module, CK_SLOT_ID slot);
  // No session, only a way to the module: for calls on slots and tokens.
  explicit Session(Module& module) noexcept;
  ~Session();  // closes it, unless the module has been re-initialised since
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  CK_SESSION_HANDLE handle() const noexcept { return handle_; }
  CK_SLOT_ID slot() const noexcept { return slot_; }
  Module& module() noexcept { return module_; }
  CK_FUNCTION_LIST* api() noexcept { return module_.api(); }

  // Throws unless rv is CKR_OK: an Error whose code follows the CKR, with the CKR's name in the detail and
  // the CKR as token_code(). Use: session.Check(session.api()->C_SignInit(...), "C_SignInit").
  void Check(CK_RV rv, const char* function);

  // The function whose failure Check threw last; "" when none failed.
  const char* failed_in() const noexcept { return failed_in_; }

  // Leaves the session to the module, for a process that ends.
  void Abandon() noexcept { handle_ = CK_INVALID_HANDLE; }

  // From here on the operation must not run again (key generation, import, destruction).
  void MarkSent() noexcept { sent_ = true; }
  bool sent() const noexcept { return sent_; }
  void ClearSent() noexcept { sent_ = false; }

 private:
  Module& module_;
  CK_SLOT_ID slot_;
  CK_SESSION_HANDLE handle_ = CK_INVALID_HANDLE;
  std::uint64_t epoch_;
  bool sent_ = false;
  const char* failed_in_ = "";
};

}  // namespace trustpoint::pkcs11
