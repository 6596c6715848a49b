// Where SoftHSM keeps its tokens, found as SoftHSM itself finds it.
#pragma once

#include <string>

namespace trustpoint::pkcs11 {

struct SoftHsmPlaces {
  std::string configuration;  // empty: it is another module
  std::string token_folder;   // empty: the configuration cannot be read
};

// module: the path of the library. named: what SOFTHSM2_CONF is going to be; nullptr: what it is.
SoftHsmPlaces FindSoftHsm(const std::string& module, const std::string* named = nullptr);

}  // namespace trustpoint::pkcs11
