#include "pkcs11/session.hpp"

#include "pkcs11/rv.hpp"

namespace trustpoint::pkcs11 {

Session::Session(Module& module, CK_SLOT_ID slot) : module_(module), slot_(slot), epoch_(module.epoch()) {
  // Read-write always: some modules offer nothing else, and a read-only one bars a login of the security
  // officer.
  Check(api()->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, nullptr, nullptr, &handle_),
        "C_OpenSession");
}

Session::Session(Module& module) noexcept : module_(module), slot_(0), epoch_(module.epoch()) {}

Session::~Session() {
  if (handle_ != CK_INVALID_HANDLE && module_.initialized() && module_.epoch() == epoch_)
    api()->C_CloseSession(handle_);
}

void Session::Check(CK_RV rv, const char* function) {
  if (rv == CKR_OK) return;
  failed_in_ = function;
  throw MakeError(rv, function);
}

}  // namespace trustpoint::pkcs11
