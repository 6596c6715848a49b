#include "pkcs11/module.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <utility>

#include "base/error.hpp"
#include "pkcs11/rv.hpp"
#include "pkcs11/text.hpp"

namespace trustpoint::pkcs11 {
namespace {

using base::Error;
using base::ErrorCode;

[[noreturn]] void ThrowNotLoaded(const std::string& path) {
  const char* reason = dlerror();
  throw Error(ErrorCode::kTokenUnreachable, "could not load the PKCS#11 module \"" + path + "\"",
              reason ? reason : "", "Check trustpoint.pkcs11_module, and that the server may read the file.");
}

CK_FUNCTION_LIST* Load(const std::string& path) {
  if (path.empty()) throw Error(ErrorCode::kNotConfigured, "trustpoint.pkcs11_module is not set");
  if (path[0] != '/')  // never a search path: loading is running code
    throw Error(ErrorCode::kNotConfigured, "trustpoint.pkcs11_module must be an absolute path");
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) ThrowNotLoaded(path);
  const auto get_list = reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"));
  if (!get_list) ThrowNotLoaded(path);
  CK_FUNCTION_LIST* api = nullptr;
  Check(get_list(&api), "C_GetFunctionList");
  return api;
}

// One counter for all modules of the process, so that no two epochs are ever alike.
std::uint64_t last_epoch = 0;

}  // namespace

Module::Module(const std::string& path, const std::string& environment)
    : path_(path), environment_(environment), api_(nullptr), counting_{} {
  environment_.Apply();
  api_ = Load(path_);
  counting_ = CountingList(*api_);
}

Module::Module(std::string name, CK_FUNCTION_LIST* api)
    : path_(std::move(name)), environment_({}), api_(api), counting_(CountingList(*api)) {}

CK_RV Module::CallInitialize() {
  CK_C_INITIALIZE_ARGS args = {};
  args.flags = CKF_OS_LOCKING_OK;
  args.pReserved = init_args_.empty() ? nullptr : init_args_.data();
  const CK_RV rv = api()->C_Initialize(&args);
  if (rv != CKR_CANT_LOCK) return rv;
  args.flags = 0;  // a backend has one thread anyway
  return api()->C_Initialize(&args);
}

void Module::Initialize(const std::string& init_args) {
  if (initialized()) return;
  environment_.Apply();  // SoftHSM reads its variable here, not when it is loaded
  init_args_ = init_args;
  const bool inherited = owner_ != 0 && owner_ != getpid() && !foreign_;
  CK_RV rv = CallInitialize();
  if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED && inherited) {  // what a fork copied is ours to end
    api()->C_Finalize(nullptr);
    rv = CallInitialize();
  }
  foreign_ = rv == CKR_CRYPTOKI_ALREADY_INITIALIZED;
  if (!foreign_ && rv != CKR_OK) {
    const Error error = MakeError(rv, "C_Initialize");
    throw Error(
        error.code(), "the PKCS#11 module could not be initialised", error.failure().detail,
        "Check trustpoint.module_environment and trustpoint.module_init_args, and that the server may read "
        "the module's configuration and the token's files.")
        .WithTokenCode(rv);
  }
  owner_ = getpid();
  epoch_ = ++last_epoch;
}

void Module::Finalize() noexcept {
  if (!initialized()) return;
  if (!foreign_) api()->C_Finalize(nullptr);
  owner_ = 0;
}

bool Module::initialized() const noexcept { return owner_ == getpid(); }

LibraryInfo Module::Info() {
  CK_INFO info = {};
  Check(api()->C_GetInfo(&info), "C_GetInfo");
  const auto& [cryptoki_version, manufacturer, flags, description, version] = info;
  return {path_, Unpadded(manufacturer), Unpadded(description), VersionText(version),
          VersionText(cryptoki_version)};
}

}  // namespace trustpoint::pkcs11
