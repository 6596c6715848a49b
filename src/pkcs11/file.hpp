// A file descriptor that closes itself, and reads and writes that finish what they begin.
#pragma once

#include <sys/types.h>

#include "base/bytes.hpp"

namespace trustpoint::pkcs11 {

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) noexcept : fd_(fd) {}
  ~FileDescriptor();
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

// The number of bytes read, less than asked for at the end of the file only; -1 and errno on failure.
ssize_t ReadAt(int fd, base::MutableBytes out, off_t offset) noexcept;
bool WriteAt(int fd, base::Bytes bytes, off_t offset) noexcept;

}  // namespace trustpoint::pkcs11
