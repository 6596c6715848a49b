#include "pkcs11/pin.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.hpp"
#include "pkcs11/file.hpp"
#include "pkcs11/token.hpp"

namespace trustpoint::pkcs11 {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::size_t kMaxPin = 255;

[[noreturn]] void ThrowUnusable(std::string_view setting, const std::string& why,
                                std::string_view hint = {}) {
  throw Error(ErrorCode::kNotConfigured, "the PIN file of " + std::string(setting) + " is not usable", why,
              hint);
}

std::uint64_t Nanoseconds(const timespec& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

FileIdentity IdentityOf(const struct stat& file) {
  return {file.st_dev, file.st_ino, static_cast<std::uint64_t>(file.st_size), Nanoseconds(file.st_mtim),
          Nanoseconds(file.st_ctim)};
}

}  // namespace

Pin ReadPin(const std::string& path, std::string_view setting) {
  if (path.empty())
    throw Error(ErrorCode::kNotConfigured, std::string(setting) + " is not set", {},
                "Set it to the path of a file that holds the PIN.");
  // O_NONBLOCK: opening a pipe must not wait for its writer. All that is checked is the file that is then
  // read.
  const FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file) ThrowUnusable(setting, "It cannot be opened: " + std::string(std::strerror(errno)) + ".");
  struct stat status;
  if (fstat(file.get(), &status) != 0) ThrowUnusable(setting, "Its status cannot be read.");
  CheckPinFile(status, geteuid(), setting);

  base::Secret content(kMaxPin + 2);  // and its line end
  const ssize_t size = ReadAt(file.get(), content.bytes(), 0);
  if (size < 0) ThrowUnusable(setting, "It cannot be read: " + std::string(std::strerror(errno)) + ".");
  base::Bytes line = content.view().first(static_cast<std::size_t>(size));
  line = line.first(static_cast<std::size_t>(std::find(line.begin(), line.end(), '\n') - line.begin()));
  if (!line.empty() && line.back() == '\r') line = line.first(line.size() - 1);
  if (line.empty()) ThrowUnusable(setting, "Its first line is empty.");
  if (line.size() > kMaxPin) ThrowUnusable(setting, "Its first line is longer than 255 bytes.");
  return {base::Secret(line), IdentityOf(status)};
}

void CheckPinFile(const struct stat& file, uid_t user, std::string_view setting) {
  if (!S_ISREG(file.st_mode)) ThrowUnusable(setting, "It is not a regular file.");
  const bool of_root = file.st_uid == 0;
  if (!of_root && file.st_uid != user)
    ThrowUnusable(setting, "It belongs to neither the server's user nor root.");
  const mode_t allowed = of_root ? 0640 : 0600;  // a group that root chose may read a file of root's
  if ((file.st_mode & 07777 & ~allowed) != 0)
    ThrowUnusable(setting, "It is open to others.", "Set its mode to 0600, or to 0640 when root owns it.");
}

void CheckPinFlags(const TokenInfo& token) {
  if ((token.flags & CKF_USER_PIN_LOCKED) != 0)
    throw Error(ErrorCode::kTokenRefused, "the PIN of the token is locked", "CKF_USER_PIN_LOCKED",
                "The token's security officer must set a new PIN.");
  if ((token.flags & CKF_USER_PIN_FINAL_TRY) != 0)
    throw Error(ErrorCode::kTokenRefused, "one more wrong PIN would lock the token; none was sent",
                "CKF_USER_PIN_FINAL_TRY", "Log in once with the right PIN by the token's own tools.");
  if ((token.flags & CKF_USER_PIN_INITIALIZED) == 0)
    throw Error(ErrorCode::kTokenUnreachable, "the token has no user PIN yet",
                "CKF_USER_PIN_INITIALIZED is not set", "Its security officer must set one.")
        .WithTokenCode(CKR_USER_PIN_NOT_INITIALIZED);
}

void CheckPinLength(const TokenInfo& token, const Pin& pin, std::string_view setting) {
  const bool limited = token.max_pin != 0 && token.max_pin != CK_UNAVAILABLE_INFORMATION;
  if (!limited || (pin.text.size() >= token.min_pin && pin.text.size() <= token.max_pin)) return;
  ThrowUnusable(setting, "The token takes PINs of " + std::to_string(token.min_pin) + " to " +
                             std::to_string(token.max_pin) + " bytes; this one was not sent.");
}

}  // namespace trustpoint::pkcs11
