#include "pkcs11/exposure.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <optional>
#include <string_view>

#include "base/error.hpp"
#include "pkcs11/environment.hpp"
#include "pkcs11/pin.hpp"
#include "pkcs11/softhsm_places.hpp"

namespace trustpoint::pkcs11 {
namespace {

std::string ModeText(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777));
  return text;
}

// The path without links; empty where there is nothing.
std::string RealPath(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(realpath(path.c_str(), nullptr), std::free);
  return real ? real.get() : "";
}

bool Lies(const std::string& path, const std::string& folder) {
  const std::string inner = RealPath(path), outer = RealPath(folder);
  return !inner.empty() && !outer.empty() && inner.compare(0, outer.size(), outer) == 0 &&
         (inner.size() == outer.size() || inner[outer.size()] == '/');
}

// What is wrong with one file or folder that only root and the server's user should be able to replace.
std::optional<std::string> WrongOwnerOrMode(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  if (status.st_uid != 0 && status.st_uid != geteuid())
    return path + " belongs to user " + std::to_string(status.st_uid);
  const mode_t open = S_IWOTH | (status.st_gid != 0 ? S_IWGRP : 0);
  const bool sticky = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
  if ((status.st_mode & open) != 0 && !sticky) return path + " has mode " + ModeText(status.st_mode);
  return std::nullopt;
}

// The same of the file and of every folder above it: who may write to a folder may replace what is in it.
std::optional<std::string> ReplaceableByOthers(const std::string& path) {
  for (std::string part = RealPath(path); !part.empty(); part.resize(part.rfind('/'))) {
    if (auto wrong = WrongOwnerOrMode(part)) return wrong;
  }
  return WrongOwnerOrMode("/");
}

// The first file or folder of a SoftHSM token, or the folder of tokens, that group or others may use at all.
std::optional<std::string> OpenInFolder(const std::string& folder, int depth) {
  struct stat status;
  if (lstat(folder.c_str(), &status) != 0) return std::nullopt;
  if ((status.st_mode & 077) != 0) return folder + " has mode " + ModeText(status.st_mode);
  if (!S_ISDIR(status.st_mode) || depth == 0) return std::nullopt;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(opendir(folder.c_str()), closedir);
  if (!entries) return std::nullopt;
  while (const dirent* entry = readdir(entries.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (auto open = OpenInFolder(folder + "/" + std::string(name), depth - 1)) return open;
  }
  return std::nullopt;
}

class Search {
 public:
  explicit Search(const Surroundings& surroundings) : on_(surroundings) {}

  void Pin() {
    const std::string& path = on_.config.pin_file;
    struct stat status;
    if (path.empty() || stat(path.c_str(), &status) != 0) return;
    try {
      CheckPinFile(status, geteuid(), "trustpoint.pin_file");
    } catch (const base::Error& error) {
      Add("critical", "pin_file", "The PIN file cannot be used. " + std::string(error.failure().detail),
          "chown it to the server's user and chmod it to 0600, then change the PIN");
    }
    if (const auto wrong = ReplaceableByOthers(path))
      Add("critical", "pin_file_folder", Shown("Others may replace the PIN file", *wrong),
          "chmod go-w, chown root");
    if (Lies(path, on_.data_directory))
      Add("warning", "pin_file_in_data_directory", "Every base backup holds the PIN.",
          "move the file out of the data directory and set trustpoint.pin_file");
  }

  void SoPin() {
    if (!on_.so_pin_file.empty() && access(on_.so_pin_file.c_str(), F_OK) == 0)
      Add("notice", "so_pin_file",
          "The security officer's PIN lies on this machine. Only tp_hsm_init_token needs it.",
          "keep the file elsewhere until it is needed");
  }

  void Module() {
    if (const auto wrong = ReplaceableByOthers(on_.config.module))
      Add("critical", "module",
          Shown("Others may replace the PKCS#11 library, which runs in the server", *wrong),
          "chmod go-w, chown root");
  }

  void SoftHsm() {
    const SoftHsmPlaces places = Places();
    if (places.configuration.empty()) return;
    if (const auto wrong = ReplaceableByOthers(places.configuration))
      Add("critical", "token_configuration",
          Shown("Others may replace the configuration of SoftHSM, which says where tokens are", *wrong),
          "chmod go-w, chown root");
    if (places.token_folder.empty()) return;
    if (const auto open = OpenInFolder(places.token_folder, 2))
      Add("critical", "token_folder",
          Shown("Others may use files of the token; only the PIN then stands before its keys", *open),
          "chmod -R go= the folder of tokens");
    if (Lies(places.token_folder, on_.data_directory))
      Add("warning", "token_folder_in_data_directory",
          "Every base backup holds the token, so that a backup opens itself for who guesses the PIN.",
          "move the token out of the data directory");
  }

  void CoreImages() {
    rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) != 0 || limit.rlim_cur == 0) return;
    std::ifstream file("/proc/sys/kernel/core_pattern");
    std::string pattern;
    std::getline(file, pattern);
    Add("warning", "core_images",
        "A crash writes the memory of a backend to \"" + pattern +
            "\": plaintext, and within a transaction expanded keys. DEKs are left out.",
        "LimitCORE=0 in the systemd unit, or ulimit -c 0, and restart");
  }

  void Swap() {
    std::ifstream file("/proc/swaps");
    std::string line, devices;
    std::getline(file, line);  // the heading
    while (std::getline(file, line))
      devices += (devices.empty() ? "" : ", ") + line.substr(0, line.find_first_of(" \t"));
    if (!devices.empty())
      Add("warning", "swap",
          "Plaintext in memory may be written to " + devices + ". DEKs are locked in memory.",
          "swapoff -a, or swap that is encrypted with a key of each start");
  }

  std::vector<Finding> found;

 private:
  SoftHsmPlaces Places() const {
    try {
      const Environment environment(on_.config.environment);
      return FindSoftHsm(on_.config.module, environment.Find("SOFTHSM2_CONF"));
    } catch (const base::Error&) {  // malformed: no module starts with it
      return {};
    }
  }
  void Add(const char* severity, const char* name, std::string detail, std::string remedy) {
    found.push_back({severity, name, std::move(detail), std::move(remedy)});
  }
  std::string Shown(std::string what, const std::string& where) const {
    return std::move(what) + (on_.show_paths ? ": " + where + "." : ".");
  }

  const Surroundings& on_;
};

}  // namespace

std::vector<Finding> FindExposures(const Surroundings& surroundings) {
  Search search(surroundings);
  search.Pin();
  search.SoPin();
  search.Module();
  search.SoftHsm();
  search.CoreImages();
  search.Swap();
  return std::move(search.found);
}

}  // namespace trustpoint::pkcs11
