#include "crypto/expanded_key.hpp"

#include <malloc.h>
#include <openssl/crypto.h>

namespace trustpoint::crypto {

base::MutableBytes MemoryOf(void* object) noexcept {
  CRYPTO_malloc_fn allocate = nullptr;
  CRYPTO_get_mem_functions(&allocate, nullptr, nullptr);
  if (object == nullptr || allocate != CRYPTO_malloc) return {};
  return {static_cast<std::uint8_t*>(object), malloc_usable_size(object)};
}

std::uint64_t NextContextSerial() noexcept {
  static std::uint64_t last = 0;
  return ++last;
}

void ExpandedKey::Take(std::uint64_t context, std::initializer_list<base::MutableBytes> places) {
  context_ = 0;  // until all is copied
  std::size_t size = 0;
  for (const base::Bytes place : places) {
    if (place.empty()) return;
    size += place.size();
  }
  if (bytes_.size() != size) {
    if (base::SecretMemory().used + size > kSecretMemory) return;
    bytes_ = base::Secret(size);
  }
  base::MutableBytes rest = bytes_.bytes();
  for (const base::Bytes place : places) {
    base::Copy(rest, place);
    rest = rest.subspan(place.size());
  }
  context_ = context;
}

bool ExpandedKey::Give(std::uint64_t context,
                       std::initializer_list<base::MutableBytes> places) const noexcept {
  if (context_ != context || bytes_.size() == 0) return false;
  base::Bytes rest = bytes_.view();
  for (const base::MutableBytes place : places) {
    base::Copy(place, rest.first(place.size()));
    rest = rest.subspan(place.size());
  }
  return true;
}

}  // namespace trustpoint::crypto
