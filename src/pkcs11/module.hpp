// A PKCS#11 library loaded into this process.
//
// It is never finalised or unloaded by a destructor: SoftHSM crashes when its own static objects are gone
// first, and handles of others may still point into it. Nothing here runs in the postmaster.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "pkcs11/call_counts.hpp"
#include "pkcs11/cryptoki.hpp"
#include "pkcs11/environment.hpp"

namespace trustpoint::pkcs11 {

struct LibraryInfo {
  std::string path, manufacturer, description, version, cryptoki_version;
};

class Module {
 public:
  // Loads the library (absolute path; environment as in Config) without initialising it. Throws
  // kNotConfigured for a missing setting or a path that is not absolute, kTokenUnreachable when the library
  // does not load.
  Module(const std::string& path, const std::string& environment);
  // A module that is linked in, or made up by a test. name stands for the path.
  Module(std::string name, CK_FUNCTION_LIST* api);
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // What the module reads of the environment, as the configuration has it. Initialize does it too.
  void ApplyEnvironment() { environment_.Apply(); }
  // C_Initialize with CKF_OS_LOCKING_OK. A module that somebody else initialised in this process is used, and
  // never finalised by us.
  void Initialize(const std::string& init_args);
  void Finalize() noexcept;           // only from Connection, and from the backend's exit hook
  bool initialized() const noexcept;  // also false in a child that forked after the start
  // Somebody else initialised it: sessions and login may be theirs too.
  bool foreign() const noexcept { return foreign_; }
  // Different for every C_Initialize of this process, whatever the module.
  std::uint64_t epoch() const noexcept { return epoch_; }

  // Call through it at once: another module of this process may be next.
  CK_FUNCTION_LIST* api() noexcept {
    SetCounted(api_);
    return &counting_;
  }
  LibraryInfo Info();

 private:
  CK_RV CallInitialize();

  std::string path_;
  Environment environment_;
  const CK_FUNCTION_LIST* api_;
  CK_FUNCTION_LIST counting_;  // the same functions, counted
  std::string init_args_;      // a member: some modules keep the pointer
  pid_t owner_ = 0;            // the process that initialised it; 0: not initialised
  bool foreign_ = false;
  std::uint64_t epoch_ = 0;
};

}  // namespace trustpoint::pkcs11
