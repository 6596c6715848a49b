#include "pkcs11/file.hpp"

#include <unistd.h>

#include <cerrno>

namespace trustpoint::pkcs11 {

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) close(fd_);
}

ssize_t ReadAt(int fd, base::MutableBytes out, off_t offset) noexcept {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t part = pread(fd, out.data() + done, out.size() - done, offset + static_cast<off_t>(done));
    if (part < 0 && errno == EINTR) continue;
    if (part < 0) return -1;
    if (part == 0) break;
    done += static_cast<std::size_t>(part);
  }
  return static_cast<ssize_t>(done);
}

bool WriteAt(int fd, base::Bytes bytes, off_t offset) noexcept {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t part =
        pwrite(fd, bytes.data() + done, bytes.size() - done, offset + static_cast<off_t>(done));
    if (part < 0 && errno == EINTR) continue;
    if (part <= 0) return false;
    done += static_cast<std::size_t>(part);
  }
  return true;
}

}  // namespace trustpoint::pkcs11
