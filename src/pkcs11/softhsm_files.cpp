#include "pkcs11/softhsm_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
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
constexpr std::size_t kNumberSize = 8;

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

// A file is a number that SoftHSM counts up and then attributes: a type, the kind of the value, the value.

// Takes one number; false: it is cut off.
bool TakeNumber(base::Bytes* rest, std::uint64_t* number) {
  if (rest->size() < kNumberSize) return false;
  *number = 0;
  for (const std::uint8_t byte : rest->first(kNumberSize)) *number = *number << 8 | byte;
  *rest = rest->subspan(kNumberSize);
  return true;
}

bool TakeAttribute(base::Bytes* rest) {
  std::uint64_t type, kind, size;
  if (!TakeNumber(rest, &type) || !TakeNumber(rest, &kind)) return false;
  switch (kind) {
    case 1:  // true or false
      size = 1;
      break;
    case 2:
      size = kNumberSize;
      break;
    case 3:  // bytes, after their number
      if (!TakeNumber(rest, &size)) return false;
      break;
    default:  // which the file of a key may have, and that of a token has not
      return false;
  }
  if (size > rest->size()) return false;
  *rest = rest->subspan(size);
  return true;
}

bool IsWhole(base::Bytes content) {
  std::uint64_t count;
  if (!TakeNumber(&content, &count) || content.empty()) return false;
  while (!content.empty())
    if (!TakeAttribute(&content)) return false;
  return true;
}

// No attribute: emptied, cut off after the number by the end of the process, or filled with zeros by the end
// of the machine.
bool IsBlank(base::Bytes content) {
  const auto attributes = content.subspan(std::min(kNumberSize, content.size()));
  return std::ranges::all_of(attributes, [](std::uint8_t byte) { return byte == 0; });
}

bool IsAt(const FileDescriptor& file, const fs::path& path) {
  struct stat open, there;
  return fstat(file.get(), &open) == 0 && lstat(path.c_str(), &there) == 0 && open.st_dev == there.st_dev &&
         open.st_ino == there.st_ino;
}

// Whole or not at all, whenever the process dies. Servers may share a folder: while one writes the new file,
// which it locks, the others let it.
bool Replace(const fs::path& path, const Content& content) {
  const fs::path fresh = path.string() + ".new";
  const FileDescriptor file(open(fresh.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file || flock(file.get(), LOCK_EX | LOCK_NB) != 0) return false;
  if (!IsAt(file, fresh)) return false;  // it was locked too late, and is in its place
  return ftruncate(file.get(), 0) == 0 && WriteAt(file.get(), content, 0) && fsync(file.get()) == 0 &&
         rename(fresh.c_str(), path.c_str()) == 0;
}

// Blank for good: another program may be in the middle of a login.
bool StaysBlank(const fs::path& path) {
  constexpr timespec kMoment = {0, 5'000'000};
  for (int look = 0; look < 4; ++look) {
    nanosleep(&kMoment, nullptr);
    const std::optional<Content> content = Read(path);
    if (!content || !IsBlank(*content)) return false;
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
  if (IsWhole(*content) && kept != content) (void)Replace(copy, *content);
  return IsBlank(*content) && kept && IsWhole(*kept) && StaysBlank(file) && Replace(file, *kept);
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
