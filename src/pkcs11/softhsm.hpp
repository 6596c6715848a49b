// What only SoftHSM has: a configuration file, and tokens that are files in a folder.
#pragma once

#include <string>

#include "pkcs11/connection.hpp"

namespace trustpoint::pkcs11 {

struct SoftHsmFiles {
  std::string configuration;  // empty: none is found, or the module is another one
  std::string token_folder;   // empty: the configuration names none
};

// Where SoftHSM would find them with these settings.
SoftHsmFiles FindSoftHsmFiles(const Config& config);

}  // namespace trustpoint::pkcs11
