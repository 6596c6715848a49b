// Preloaded into a server, for tests alone: lets the nth allocation of one process fail, once. Which process
// and which allocation, and how many there were, stands in the file that TRUSTPOINT_FAILING_MEMORY names,
// mapped by all: a test writes there, so that the server starts up unharmed and everything else in it goes
// on.
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <new>

// As the test packs it.
struct Order {
  std::int64_t pid;  // 0: none
  std::int64_t nth;  // 0: only count
  std::int64_t count;
};

extern "C" {

// What is behind us, without the way by dlsym, which allocates: glibc's own, or AddressSanitizer's, which
// must see every block.
#ifdef SANITIZE
#define BEHIND(name) __interceptor_##name
#else
#define BEHIND(name) __libc_##name
#endif
void* BEHIND(malloc)(size_t size);
void* BEHIND(calloc)(size_t count, size_t size);
void* BEHIND(realloc)(void* old, size_t size);
void* BEHIND(memalign)(size_t alignment, size_t size);

// How deep the process is in the PKCS#11 module: failing_token counts it.
__attribute__((visibility("default"))) int trustpoint_inside_module = 0;

}  // extern "C"

namespace {

volatile Order* order = nullptr;

void* Map(void* address, size_t size, int protection, int flags, int file, off_t offset) {
  return reinterpret_cast<void*>(syscall(SYS_mmap, address, size, protection, flags, file, offset));
}

__attribute__((constructor)) void Open() {
  const char* path = getenv("TRUSTPOINT_FAILING_MEMORY");
  const int file = path != nullptr ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) return;
  void* mapped = Map(nullptr, sizeof(Order), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (mapped != MAP_FAILED) order = static_cast<volatile Order*>(mapped);
}

bool Fails() {
  if (order == nullptr || order->pid == 0 || order->pid != getpid()) return false;
  if (trustpoint_inside_module > 0) return false;  // SoftHSM would end the process
  order->count = order->count + 1;
  if (order->count != order->nth) return false;
  errno = ENOMEM;
  return true;
}

}  // namespace

extern "C" {

void* malloc(size_t size) { return Fails() ? nullptr : BEHIND(malloc)(size); }
void* calloc(size_t count, size_t size) { return Fails() ? nullptr : BEHIND(calloc)(count, size); }
void* realloc(void* old, size_t size) { return Fails() ? nullptr : BEHIND(realloc)(old, size); }
void* aligned_alloc(size_t alignment, size_t size) {
  return Fails() ? nullptr : BEHIND(memalign)(alignment, size);
}

int posix_memalign(void** out, size_t alignment, size_t size) {
  void* block = Fails() ? nullptr : BEHIND(memalign)(alignment, size);
  if (block == nullptr) return ENOMEM;
  *out = block;
  return 0;
}

void* mmap(void* address, size_t size, int protection, int flags, int file, off_t offset) noexcept {
  if (!Fails()) return Map(address, size, protection, flags, file, offset);
  return MAP_FAILED;
}

}  // extern "C"

#ifdef SANITIZE
// The sanitizer's do not come by malloc, as those of libstdc++ do. They are looked up once, as dlsym frees
// what the last dlerror() returned.
namespace {

using New = void* (*)(size_t);
New Find(const char* name) { return reinterpret_cast<New>(dlsym(RTLD_NEXT, name)); }

}  // namespace

void* operator new(size_t size) {
  static const New next = Find("_Znwm");
  if (Fails()) throw std::bad_alloc();
  return next(size);
}

void* operator new[](size_t size) {
  static const New next = Find("_Znam");
  if (Fails()) throw std::bad_alloc();
  return next(size);
}
#endif
