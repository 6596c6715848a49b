// What this machine lets others see or change of the token, its PIN and the server's memory: for
// tp_check_config.
#pragma once

#include <string>
#include <vector>

#include "pkcs11/connection.hpp"

namespace trustpoint::pkcs11 {

struct Finding {
  const char* severity;  // critical, warning or notice
  const char* name;
  std::string detail;
  std::string remedy;
};

struct Surroundings {
  Config config;
  std::string so_pin_file;
  std::string data_directory;
  bool show_paths;  // whether who asks may know where the files of the settings are
};

// Looks at files by their names and modes and never into them, but for SoftHSM's configuration.
std::vector<Finding> FindExposures(const Surroundings& surroundings);

}  // namespace trustpoint::pkcs11
