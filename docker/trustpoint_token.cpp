// trustpoint-token MODULE COMMAND: what the container's entrypoint does with a token before the server runs.
//   list          prints serial and label of every initialised token, one a line
//   init LABEL    initialises a token with the PINs in the files $HSM_SO_PIN_FILE and $HSM_PIN_FILE; prints
//   the same login SERIAL  logs in with the PIN in $HSM_PIN_FILE and out again; ends with status 3 when the
//   token refuses it
// Not while a server uses the same token: nothing keeps the two apart.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/error.hpp"
#include "pkcs11/module.hpp"
#include "pkcs11/pin.hpp"
#include "pkcs11/rv.hpp"
#include "pkcs11/session.hpp"
#include "pkcs11/softhsm_files.hpp"
#include "pkcs11/token.hpp"

using namespace trustpoint;

namespace {

constexpr int kUsage = 2;
constexpr int kPinRefused = 3;

pkcs11::Pin PinOf(const char* variable) {
  const char* path = std::getenv(variable);
  return pkcs11::ReadPin(path != nullptr ? path : "", variable);
}

void Print(const pkcs11::TokenInfo& token) {
  std::printf("%s %s\n", token.serial.c_str(), token.label.c_str());
}

// A token without a user PIN was not made to its end.
void List(pkcs11::Module& module) {
  for (const pkcs11::TokenInfo& slot : pkcs11::ListSlots(module))
    if (slot.initialized() && (slot.flags & CKF_USER_PIN_INITIALIZED) != 0) Print(slot);
}

void Init(pkcs11::Module& module, const char* label) {
  const pkcs11::Pin so_pin = PinOf("HSM_SO_PIN_FILE");
  const pkcs11::Pin pin = PinOf("HSM_PIN_FILE");
  for (const pkcs11::TokenInfo& slot : pkcs11::ListSlots(module)) {
    if (!slot.token_present || slot.initialized()) continue;
    Print(pkcs11::InitToken(module, slot.slot, label, so_pin, pin, false));
    return;
  }
  throw base::Error(base::ErrorCode::kNotFound, "no slot holds a token that is not initialised");
}

// Whether the token took the PIN.
bool Login(pkcs11::Module& module, const std::string& serial) {
  const pkcs11::TokenInfo token = pkcs11::SelectToken(module, "pkcs11:serial=" + serial);
  const pkcs11::Pin pin = PinOf("HSM_PIN_FILE");
  pkcs11::CheckPinLength(token, pin, "HSM_PIN_FILE");
  pkcs11::Session session(module, token.slot);
  const CK_RV rv = session.api()->C_Login(session.handle(), CKU_USER,
                                          const_cast<CK_UTF8CHAR*>(pin.text.view().data()), pin.text.size());
  if (pkcs11::IsPinRefusal(rv)) return false;
  session.Check(rv, "C_Login");
  session.api()->C_Logout(session.handle());
  return true;
}

int Run(int count, char** arguments) {
  const std::string command = count > 2 ? arguments[2] : "";
  if (!(count == 3 && command == "list") && !(count == 4 && (command == "init" || command == "login")))
    return kUsage;
  pkcs11::Module module(arguments[1], "");
  // As the server does, which would not come to it: SoftHSM does not see a token whose file is empty.
  if (const int mended = pkcs11::MendSoftHsmFiles(arguments[1]); mended > 0)
    std::fprintf(stderr, "trustpoint: SoftHSM had left %d token file(s) empty, restored from its copy.\n",
                 mended);
  module.Initialize("");
  if (command == "login") return Login(module, arguments[3]) ? 0 : kPinRefused;
  command == "list" ? List(module) : Init(module, arguments[3]);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  // A process that dies inside a login leaves a SoftHSM token to its copy.
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, nullptr);
  base::Failure failure;
  int status = 1;
  if (base::Contain(&failure, [&] { status = Run(count, arguments); })) {
    if (status == kUsage)
      std::fprintf(stderr, "usage: trustpoint-token MODULE list|init LABEL|login SERIAL\n");
    return status;
  }
  std::fprintf(stderr, "%s", failure.message);
  for (const char* more : {failure.detail, failure.hint})
    if (more[0] != '\0') std::fprintf(stderr, ". %s", more);
  std::fprintf(stderr, "\n");
  return 1;
}
