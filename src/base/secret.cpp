#include "base/secret.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bitset>
#include <cstddef>
#include <memory>
#include <new>
#include <vector>

namespace trustpoint::base {
namespace {

constexpr std::size_t kUnit = 32;  // a key
constexpr std::size_t kArenaSize = 64 * 1024;
constexpr std::size_t kUnits = kArenaSize / kUnit;

std::size_t UnitsFor(std::size_t size) { return (size + kUnit - 1) / kUnit; }

// One mapping with a guard page on both sides. It is never unmapped: the process keeps it for its next
// secrets. A forked child has it too, empty, and locks it for itself: a lock is not inherited.
class Arena {
 public:
  Arena() {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* mapping = mmap(nullptr, kArenaSize + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) throw std::bad_alloc();
    start_ = static_cast<std::uint8_t*>(mapping) + page;
    if (mprotect(start_, kArenaSize, PROT_READ | PROT_WRITE) != 0) {
      munmap(mapping, kArenaSize + 2 * page);
      throw std::bad_alloc();
    }
    // Best effort, as containers and old kernels refuse some of it; SecretMemory() tells the result of the
    // lock.
    madvise(start_, kArenaSize, MADV_DONTDUMP);
    madvise(start_, kArenaSize, MADV_WIPEONFORK);
    Lock();
  }

  // Each page as it is first used: a new connection does not wait for pages that it may never need.
  void Lock() noexcept {
    locked_ = mlock2(start_, kArenaSize, MLOCK_ONFAULT) == 0 || mlock(start_, kArenaSize) == 0;
  }

  // The first free run that is long enough, or nullptr.
  std::uint8_t* Take(std::size_t units) noexcept {
    std::size_t run = 0;
    for (std::size_t i = 0; i < kUnits; ++i) {
      run = used_[i] ? 0 : run + 1;
      if (run < units) continue;
      const std::size_t first = i + 1 - units;
      for (std::size_t j = first; j <= i; ++j) used_.set(j);
      used_units_ += units;
      return start_ + first * kUnit;
    }
    return nullptr;
  }

  bool Owns(const std::uint8_t* address) const noexcept {
    return address >= start_ && address < start_ + kArenaSize;
  }

  void Give(const std::uint8_t* address, std::size_t units) noexcept {
    const auto first = static_cast<std::size_t>(address - start_) / kUnit;
    for (std::size_t j = first; j < first + units; ++j) used_.reset(j);
    used_units_ -= units;
  }

  std::size_t used() const noexcept { return used_units_ * kUnit; }
  bool locked() const noexcept { return locked_; }

 private:
  std::uint8_t* start_;
  std::bitset<kUnits> used_;
  std::size_t used_units_ = 0;
  bool locked_;
};

using Arenas = std::vector<std::unique_ptr<Arena>>;

bool forked = false;  // since the arenas were last locked

// Made on first use, without memory of the heap, and never destroyed: no static constructor, no static
// destructor.
Arenas& AllArenas() noexcept {
  alignas(Arenas) static std::byte room[sizeof(Arenas)];
  static Arenas* const arenas = [] {
    pthread_atfork(nullptr, nullptr, [] { forked = true; });
    return new (room) Arenas;
  }();
  if (forked) {
    forked = false;
    for (auto& arena : *arenas) arena->Lock();
  }
  return *arenas;
}

std::uint8_t* TakeUnits(std::size_t units) {
  for (auto& arena : AllArenas())
    if (std::uint8_t* address = arena->Take(units)) return address;
  AllArenas().push_back(std::make_unique<Arena>());
  return AllArenas().back()->Take(units);
}

}  // namespace

Secret::Secret(std::size_t size) {
  if (size == 0) return;
  if (size > kMaxSize) throw std::bad_alloc();
  bytes_ = {TakeUnits(UnitsFor(size)), size};
}

Secret::Secret(Bytes bytes) : Secret(bytes.size()) { Copy(bytes_, bytes); }

void Secret::Reset() noexcept {
  if (bytes_.empty()) return;
  Wipe(bytes_);
  for (auto& arena : AllArenas())
    if (arena->Owns(bytes_.data())) arena->Give(bytes_.data(), UnitsFor(bytes_.size()));
  bytes_ = {};
}

SecretMemoryStatus SecretMemory() noexcept {
  SecretMemoryStatus status{0, 0, true};
  for (const auto& arena : AllArenas()) {
    status.reserved += kArenaSize;
    status.used += arena->used();
    status.locked = status.locked && arena->locked();
  }
  return status;
}

}  // namespace trustpoint::base
