#include "pkcs11/call_counts.hpp"

#include <ctime>

namespace trustpoint::pkcs11 {
namespace {

CallCounts counts{};
bool any = false;
const CK_FUNCTION_LIST* counted = nullptr;

std::uint64_t Now() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

enum : std::size_t {
#define TRUSTPOINT_INDEX(function) kIndexOf_##function,
  TRUSTPOINT_COUNTED_FUNCTIONS(TRUSTPOINT_INDEX)
#undef TRUSTPOINT_INDEX
};

// The function that stands in the list for one of the module's.
template <auto kMember, std::size_t kIndex>
struct Counting;

template <class... Args, CK_RV (*CK_FUNCTION_LIST::*kMember)(Args...), std::size_t kIndex>
struct Counting<kMember, kIndex> {
  static CK_RV Call(Args... args) {
    const std::uint64_t start = Now();
    const CK_RV rv = (counted->*kMember)(args...);
    CallCount& count = counts[kIndex];
    any = true;
    ++count.calls;
    count.failures += rv == CKR_OK ? 0 : 1;
    count.nanoseconds += Now() - start;
    return rv;
  }

  static void Put(CK_FUNCTION_LIST* list) {
    if (list->*kMember != nullptr) list->*kMember = &Call;
  }
};

}  // namespace

bool TakeCallCounts(CallCounts* sum) noexcept {
  if (!any) return false;
  any = false;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    CallCount& total = (*sum)[i];
    total.calls += counts[i].calls;
    total.failures += counts[i].failures;
    total.nanoseconds += counts[i].nanoseconds;
  }
  counts = {};
  return true;
}

CK_FUNCTION_LIST CountingList(const CK_FUNCTION_LIST& api) noexcept {
  CK_FUNCTION_LIST list = api;
#define TRUSTPOINT_PUT(function) Counting<&CK_FUNCTION_LIST::function, kIndexOf_##function>::Put(&list);
  TRUSTPOINT_COUNTED_FUNCTIONS(TRUSTPOINT_PUT)
#undef TRUSTPOINT_PUT
  return list;
}

void SetCounted(const CK_FUNCTION_LIST* api) noexcept { counted = api; }

}  // namespace trustpoint::pkcs11
