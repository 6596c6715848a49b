#include "crypto/random.hpp"

#include <sys/random.h>

#include <cerrno>

#include "base/error.hpp"

namespace trustpoint::crypto {

void Random(base::MutableBytes out) {
  while (!out.empty()) {
    // Over 256 bytes the call may be interrupted and return fewer.
    const ssize_t filled = getrandom(out.data(), out.size(), 0);
    if (filled >= 0) {
      out = out.subspan(static_cast<std::size_t>(filled));
    } else if (errno != EINTR) {
      throw base::Error(base::ErrorCode::kInternal, "the kernel gave no random bytes");
    }
  }
}

}  // namespace trustpoint::crypto
