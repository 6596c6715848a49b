#include "unit/keyring_fixture.hpp"

#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace trustpoint::test {
namespace {

std::function<void(base::MutableBytes)>& Fill() {
  static std::function<void(base::MutableBytes)> fill;
  return fill;
}

}  // namespace

ScriptedRandom::ScriptedRandom(std::function<void(base::MutableBytes)> fill) { Fill() = std::move(fill); }
ScriptedRandom::~ScriptedRandom() { Fill() = nullptr; }

}  // namespace trustpoint::test

// The program's own definition comes before that of libc.
extern "C" ssize_t getrandom(void* buffer, size_t size,
                             unsigned flags) noexcept(noexcept(::getrandom(nullptr, 0, 0))) {
  if (!trustpoint::test::Fill()) return syscall(SYS_getrandom, buffer, size, flags);
  trustpoint::test::Fill()({static_cast<std::uint8_t*>(buffer), size});
  return static_cast<ssize_t>(size);
}
