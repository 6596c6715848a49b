#include "pkcs11/softhsm_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "pkcs11/file.hpp"
#include "pkcs11/softhsm_places.hpp"

namespace trustpoint::pkcs11 {
namespace {

namespace fs = std::filesystem;
using Content = std::vector<std::uint8_t>;

constexpr std::string_view kTokenFile = "token.object";
constexpr std::string_view kCopy = "token.object.trustpoint";  // SoftHSM reads what ends in .object
constexpr off_t kMaxSize = 64 * 1024;

// nullopt: it cannot be read, or is no file of a token.
std::optional<Content> Read(const fs::path& path) {
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) return std::nullopt;
  const off_t size = lseek(file.get(), 0, SEEK_END);
  if (size < 0 || size > kMaxSize) return std::nullopt;
  Content content(static_cast<std::size_t>(size));
  const ssize_t read = ReadAt(file.get(), content, 0);
  if (read < 0) return std::nullopt;
  content.resize(static_cast<std::size_t>(read));
  return content;
}

// Whole or not at all, whenever the process dies.
bool Replace(const fs::path& path, const Content& content) {
  const fs::path fresh = path.string() + ".new";
  {
    const FileDescriptor file(
        open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file || !WriteAt(file.get(), content, 0) || fsync(file.get()) != 0) return false;
  }
  return rename(fresh.c_str(), path.c_str()) == 0;
}

// Empty for good: another program may be in the middle of a login.
bool StaysEmpty(const fs::path& path) {
  constexpr timespec kMoment = {0, 5'000'000};
  for (int look = 0; look < 4; ++look) {
    nanosleep(&kMoment, nullptr);
    const std::optional<Content> content = Read(path);
    if (!content || !content->empty()) return false;
  }
  return true;
}

// True: the file was put back.
bool Mend(const fs::path& folder) {
  const fs::path file = folder / kTokenFile;
  const fs::path copy = folder / kCopy;
  const std::optional<Content> content = Read(file);
  if (!content) return false;
  const std::optional<Content> kept = Read(copy);
  if (!content->empty()) {
    if (kept != content) (void)Replace(copy, *content);
    return false;
  }
  return kept && !kept->empty() && StaysEmpty(file) && Replace(file, *kept);
}

}  // namespace

int MendSoftHsmFiles(const std::string& module) noexcept {
  try {
    const std::string tokens = FindSoftHsm(module).token_folder;
    if (tokens.empty()) return 0;
    // Not by std::filesystem, whose iterator ends the process when it lacks memory (GCC 12).
    const std::unique_ptr<DIR, int (*)(DIR*)> folders(opendir(tokens.c_str()), closedir);
    if (folders == nullptr) return 0;
    int mended = 0;
    while (const dirent* entry = readdir(folders.get()))
      if (entry->d_name[0] != '.' && Mend(fs::path(tokens) / entry->d_name)) ++mended;
    return mended;
  } catch (...) {  // out of memory: the start will say so
    return 0;
  }
}

}  // namespace trustpoint::pkcs11
