// Secrets live in memory of our own: locked where the limit allows, left out of core dumps, empty in a forked
// child, between guard pages. A Secret owns a run of it and wipes it when it dies. Not thread-safe: a backend
// has one thread.
#pragma once

#include <cstddef>
#include <utility>

#include "base/bytes.hpp"

namespace trustpoint::base {

// A move-only owner of secret bytes. An empty one owns nothing.
class Secret {
 public:
  Secret() noexcept = default;
  // size zero bytes. Throws std::bad_alloc when no memory is to be had or size is over kMaxSize.
  explicit Secret(std::size_t size);
  // A copy of the bytes; the caller still owns, and wipes, the original.
  explicit Secret(Bytes bytes);
  ~Secret() { Reset(); }
  Secret(Secret&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      Reset();
      bytes_ = std::exchange(other.bytes_, {});
    }
    return *this;
  }
  Secret(const Secret&) = delete;  // a second copy of a key is never wanted silently
  Secret& operator=(const Secret&) = delete;

  Bytes view() const noexcept { return bytes_; }
  MutableBytes bytes() noexcept { return bytes_; }
  std::size_t size() const noexcept { return bytes_.size(); }
  // Wipes and gives the memory back.
  void Reset() noexcept;

  static constexpr std::size_t kMaxSize = 4096;

 private:
  MutableBytes bytes_;
};

struct SecretMemoryStatus {
  std::size_t reserved;  // bytes mapped for secrets, guard pages not counted
  std::size_t used;      // bytes that Secrets own now, rounded up to the arena's unit
  bool locked;           // every mapping is locked in memory
};

SecretMemoryStatus SecretMemory() noexcept;

}  // namespace trustpoint::base
