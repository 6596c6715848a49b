// A look into this process's own memory, as whoever reads a core dump has it.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>

#include "base/bytes.hpp"

namespace trustpoint::test {

// Counts how often needle stands in this process's memory, outside the mapping that needle itself lies in. So
// needle is to be a Secret's view: its arena is a mapping of its own.
class ProcessMemory {
 public:
  ProcessMemory()
      : file_(open("/proc/self/mem", O_RDONLY | O_CLOEXEC)),
        window_(static_cast<std::uint8_t*>(
            mmap(nullptr, kWindow, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    if (file_ < 0 || window_ == MAP_FAILED) throw std::runtime_error("no access to /proc/self/mem");
  }
  ~ProcessMemory() {
    close(file_);
    munmap(window_, kWindow);
  }
  ProcessMemory(const ProcessMemory&) = delete;
  ProcessMemory& operator=(const ProcessMemory&) = delete;

  std::size_t Count(base::Bytes needle) const {
    std::size_t count = 0;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      std::size_t end_of_start = 0;
      const std::uintptr_t start = std::stoull(line, &end_of_start, 16);
      const std::uintptr_t end = std::stoull(line.substr(end_of_start + 1), nullptr, 16);
      if (Holds(start, end, needle.data()) || end - start > kLargest) continue;
      count += CountIn(start, end, needle);
    }
    return count;
  }

 private:
  static constexpr std::size_t kWindow = std::size_t{1} << 20;
  // Larger ones are a sanitizer's bookkeeping: no data, and terabytes of it.
  static constexpr std::uintptr_t kLargest = std::uintptr_t{1} << 32;

  static bool Holds(std::uintptr_t start, std::uintptr_t end, const void* address) {
    const auto number = reinterpret_cast<std::uintptr_t>(address);
    return start <= number && number < end;
  }

  // Windows overlap by one byte less than needle. The window itself is left out byte by byte, as the kernel
  // may have joined its mapping with a neighbour.
  std::size_t CountIn(std::uintptr_t start, std::uintptr_t end, base::Bytes needle) const {
    std::size_t count = 0;
    for (std::uintptr_t at = start; at < end;) {
      if (Holds(at, at + 1, window_)) {
        at += kWindow;
        continue;
      }
      std::size_t size = std::min<std::size_t>(kWindow, end - at);
      if (Holds(at, at + size, window_)) size = reinterpret_cast<std::uintptr_t>(window_) - at;
      const ssize_t got = pread(file_, window_, size, static_cast<off_t>(at));
      if (got <= 0) {
        at += static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));  // a hole, or not to be read at all
        continue;
      }
      count += Occurrences({window_, static_cast<std::size_t>(got)}, needle);
      const auto step = static_cast<std::uintptr_t>(got);
      at += step > needle.size() && at + step < end ? step - needle.size() + 1 : step;
    }
    std::memset(window_, 0, kWindow);
    return count;
  }

  static std::size_t Occurrences(base::Bytes hay, base::Bytes needle) {
    std::size_t count = 0;
    while (const void* hit = memmem(hay.data(), hay.size(), needle.data(), needle.size())) {
      ++count;
      hay = hay.subspan(static_cast<std::size_t>(static_cast<const std::uint8_t*>(hit) - hay.data()) + 1);
    }
    return count;
  }

  int file_;
  std::uint8_t* window_;
};

}  // namespace trustpoint::test
