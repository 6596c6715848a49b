// The rules are those of SoftHSM 2.6 and 2.7 (SimpleConfigLoader.cpp), to the letter: who reads a
// configuration otherwise guards a folder that SoftHSM does not use.
#include "pkcs11/softhsm_places.hpp"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string_view>

namespace trustpoint::pkcs11 {
namespace {

// As Debian's package is built.
constexpr const char* kConfiguration = "/etc/softhsm/softhsm2.conf";
constexpr const char* kTokenFolder = "/var/lib/softhsm/tokens/";

std::string Home() {
  const char* const home = std::getenv("HOME");
  if (home != nullptr && home[0] != '\0') return home;
  passwd entry, *found = nullptr;
  char room[512];
  if (getpwuid_r(getuid(), &entry, room, sizeof room, &found) != 0 || found == nullptr) return {};
  return found->pw_dir;
}

std::string Configuration(const std::string& module) {
  if (const char* named = std::getenv("SOFTHSM2_CONF")) return named;
  if (module.find("softhsm") == std::string::npos) return {};
  const std::string own = Home() + "/.config/softhsm2/softhsm2.conf";
  // A home that this user may not enter, such as root's, has none.
  return access(own.c_str(), R_OK) == 0 ? own : kConfiguration;
}

std::string_view Trim(std::string_view text) {
  constexpr const char* kSpace = " \t\n\v\f\r";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// Takes what stands before the next equals sign; several of them are one, as for strtok.
std::string_view TakeField(std::string_view* line) {
  line->remove_prefix(std::min(line->find_first_not_of('='), line->size()));
  const std::string_view field = line->substr(0, line->find('='));
  line->remove_prefix(field.size());
  return Trim(field);
}

std::string TokenFolder(const std::string& configuration) {
  std::ifstream file(configuration);
  if (!file) return {};
  std::string folder = kTokenFolder;
  for (std::string line; std::getline(file, line);) {
    std::string_view rest = std::string_view(line).substr(0, line.find_first_of("#\r"));
    const std::string_view name = TakeField(&rest), value = TakeField(&rest);
    if (name == "directories.tokendir" && !value.empty()) folder = value;  // the last one counts
  }
  return folder;
}

}  // namespace

SoftHsmPlaces FindSoftHsm(const std::string& module, const std::string* named) {
  const std::string configuration = named != nullptr ? *named : Configuration(module);
  if (configuration.empty()) return {};
  return {configuration, TokenFolder(configuration)};
}

}  // namespace trustpoint::pkcs11
