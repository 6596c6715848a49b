#include "pkcs11/softhsm.hpp"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string_view>

#include "base/error.hpp"
#include "pkcs11/environment.hpp"

namespace trustpoint::pkcs11 {
namespace {

constexpr char kVariable[] = "SOFTHSM2_CONF";

std::string_view Trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::string FindConfiguration(const Config& config) {
  try {
    const Environment environment(config.environment);
    if (const std::string* value = environment.Find(kVariable)) return *value;
  } catch (const base::Error&) {  // malformed: no module starts with it either
  }
  if (const char* value = std::getenv(kVariable)) return value;
  if (config.module.find("softhsm") == std::string::npos) return {};
  const char* home = std::getenv("HOME");
  for (const std::string& place :
       {std::string(home != nullptr ? home : "") + "/.config/softhsm2/softhsm2.conf",
        std::string("/etc/softhsm/softhsm2.conf"), std::string("/etc/softhsm2.conf")})
    if (access(place.c_str(), R_OK) == 0) return place;
  return {};
}

std::string ReadTokenFolder(const std::string& configuration) {
  std::ifstream file(configuration);
  for (std::string line; std::getline(file, line);) {
    const std::size_t equals = line.find('=');
    if (equals != std::string::npos &&
        Trim(std::string_view(line).substr(0, equals)) == "directories.tokendir")
      return std::string(Trim(std::string_view(line).substr(equals + 1)));
  }
  return {};
}

}  // namespace

SoftHsmFiles FindSoftHsmFiles(const Config& config) {
  SoftHsmFiles files;
  files.configuration = FindConfiguration(config);
  if (!files.configuration.empty()) files.token_folder = ReadTokenFolder(files.configuration);
  return files;
}

}  // namespace trustpoint::pkcs11
