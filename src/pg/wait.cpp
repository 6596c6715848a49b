#include "pg/wait.hpp"

#include "pg/postgres.hpp"

namespace trustpoint::pg {

std::uint32_t WaitEvent(Wait wait) {
#if PG_VERSION_NUM >= 170000
  static std::uint32_t events[2] = {0, 0};
  std::uint32_t& event = events[static_cast<int>(wait)];
  if (event == 0) event = WaitEventExtensionNew(wait == Wait::kGate ? "TrustpointGate" : "TrustpointToken");
  return event;
#else
  (void)wait;
  return PG_WAIT_EXTENSION;
#endif
}

}  // namespace trustpoint::pg
