// A PKCS#11 module for tests alone: passes every call on to SoftHSM, and answers some of them itself. Which,
// stands in the file that TRUSTPOINT_FAILING_TOKEN names, one record a function, mapped by all processes, so
// that a test can let a call fail in the middle of a query.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "pkcs11/call_counts.hpp"

namespace {

// As the test unpacks it. Zeros: only count.
struct Record {
  char name[32];
  std::int64_t calls;
  std::int64_t first, last;  // the calls that fail, by number
  std::uint64_t rv;          // what they answer
  std::int64_t done;         // 1: after SoftHSM has done what was asked
};

enum : std::size_t {
#define INDEX(function) kIndexOf_##function,
  TRUSTPOINT_COUNTED_FUNCTIONS(INDEX) kCount
#undef INDEX
};

CK_FUNCTION_LIST* softhsm = nullptr;
CK_FUNCTION_LIST list;
volatile Record* records = nullptr;
int* inside = nullptr;  // failing_memory's: how deep in the module this process is

template <auto kMember, std::size_t kIndex>
struct Passing;

template <class... Args, CK_RV (*CK_FUNCTION_LIST::*kMember)(Args...), std::size_t kIndex>
struct Passing<kMember, kIndex> {
  static CK_RV PassOn(Args... args) {
    if (inside != nullptr) ++*inside;
    const CK_RV rv = (softhsm->*kMember)(args...);
    if (inside != nullptr) --*inside;
    return rv;
  }

  static CK_RV Call(Args... args) {
    volatile Record& record = records[kIndex];
    record.calls = record.calls + 1;
    const bool fails = record.calls >= record.first && record.calls <= record.last;
    if (!fails) return PassOn(args...);
    if (record.done != 0) (void)PassOn(args...);
    return record.rv;
  }
};

bool Map() {
  const char* path = getenv("TRUSTPOINT_FAILING_TOKEN");
  const int file = path != nullptr ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return false;
  void* mapped = mmap(nullptr, kCount * sizeof(Record), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (mapped == MAP_FAILED) return false;
  records = static_cast<volatile Record*>(mapped);
  return true;
}

bool Load() {
  inside = static_cast<int*>(dlsym(RTLD_DEFAULT, "trustpoint_inside_module"));
  if (inside != nullptr) ++*inside;
  const char* path = getenv("TRUSTPOINT_FAILING_TOKEN_INNER");
  void* library = path != nullptr ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
  const auto get = library != nullptr
                       ? reinterpret_cast<CK_C_GetFunctionList>(dlsym(library, "C_GetFunctionList"))
                       : nullptr;
  const bool loaded = get != nullptr && get(&softhsm) == CKR_OK;
  if (inside != nullptr) --*inside;
  return loaded;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST** out) {
  if (softhsm == nullptr && !Load()) return CKR_GENERAL_ERROR;
  if (records == nullptr && !Map()) return CKR_GENERAL_ERROR;
  list = *softhsm;
#define PUT(function)                                                               \
  list.function = &Passing<&CK_FUNCTION_LIST::function, kIndexOf_##function>::Call; \
  strcpy(const_cast<char*>(records[kIndexOf_##function].name), #function);
  TRUSTPOINT_COUNTED_FUNCTIONS(PUT)
#undef PUT
  *out = &list;
  return CKR_OK;
}
