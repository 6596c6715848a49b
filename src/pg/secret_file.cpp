#include "pg/secret_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/error.hpp"
#include "pkcs11/file.hpp"

namespace trustpoint::pg {
namespace {

constexpr std::size_t kMaxSize = 64 * 1024;

[[noreturn]] void ThrowUnusable(std::string_view what, const std::string& why, std::string_view hint = {}) {
  throw base::Error(base::ErrorCode::kInvalidArgument, "the file of " + std::string(what) + " is not usable",
                    why, hint);
}

void CheckFile(const struct stat& file, std::string_view what) {
  if (!S_ISREG(file.st_mode)) ThrowUnusable(what, "It is not a regular file.");
  const bool of_root = file.st_uid == 0;
  if (!of_root && file.st_uid != geteuid())
    ThrowUnusable(what, "It belongs to neither the server's user nor root.");
  if ((file.st_mode & 07777 & ~(of_root ? 0640U : 0600U)) != 0)
    ThrowUnusable(what, "It is open to others.", "Set its mode to 0600, or to 0640 when root owns it.");
  if (file.st_size == 0) ThrowUnusable(what, "It is empty.");
  if (static_cast<std::size_t>(file.st_size) > kMaxSize) ThrowUnusable(what, "It is longer than 64 KB.");
}

}  // namespace

SecretFile::SecretFile(std::string_view path, std::string_view what) {
  if (path.empty() || path.front() != '/' || path.find('\0') != path.npos)
    ThrowUnusable(what, "It must be named by an absolute path.");
  // O_NONBLOCK: opening a pipe must not wait for its writer. All that is checked is the file that is then
  // read.
  const pkcs11::FileDescriptor file(
      open(std::string(path).c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file) ThrowUnusable(what, "It cannot be opened: " + std::string(std::strerror(errno)) + ".");
  struct stat status;
  if (fstat(file.get(), &status) != 0) ThrowUnusable(what, "Its status cannot be read.");
  CheckFile(status, what);
  content_.resize(static_cast<std::size_t>(status.st_size));
  if (pkcs11::ReadAt(file.get(), content_, 0) != status.st_size) ThrowUnusable(what, "It cannot be read.");
}

base::Bytes SecretFile::FirstLine() const {
  base::Bytes line = content_;
  line = line.first(static_cast<std::size_t>(std::find(line.begin(), line.end(), '\n') - line.begin()));
  if (!line.empty() && line.back() == '\r') line = line.first(line.size() - 1);
  return line;
}

}  // namespace trustpoint::pg
