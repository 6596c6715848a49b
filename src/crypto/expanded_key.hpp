// A key as a cipher context holds it once it is set: round keys, hash tables. In locked memory, so that it
// may outlive the transaction, at whose end the context itself is cleared: setting it again copies some
// hundred bytes and computes nothing.
//
// OpenSSL says neither what is in a context nor how large it is. So a context is copied as it is, to where it
// was: with the places of itself that it may hold, an expanded key is good for the one context that it was
// taken of.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "base/bytes.hpp"
#include "base/secret.hpp"

namespace trustpoint::crypto {

// The memory of an object that OpenSSL has allocated; empty where nothing tells how much it is, as its
// allocator is not the C library's.
base::MutableBytes MemoryOf(void* object) noexcept;

// Differs for every context that this process ever makes.
std::uint64_t NextContextSerial() noexcept;

class ExpandedKey {
 public:
  // Where so much secret memory is in use, nothing is kept: of a thousand DEKs in a backend the first ones
  // have their expanded keys kept.
  static constexpr std::size_t kSecretMemory = std::size_t{32} * 1024;

  // What stands in these places of the context with this serial. Does nothing where one of them is not known.
  void Take(std::uint64_t context, std::initializer_list<base::MutableBytes> places);
  // Puts it back there. False: it is of another context, or there is none.
  [[nodiscard]] bool Give(std::uint64_t context,
                          std::initializer_list<base::MutableBytes> places) const noexcept;

 private:
  base::Secret bytes_;
  std::uint64_t context_ = 0;
};

// Sets the key, which is kept from then on.
template <class Context>
void SetKey(Context& context, ExpandedKey& kept, base::Bytes key) {
  if (context.SetKey(kept)) return;
  context.SetKey(key);
  context.Keep(&kept);
}

}  // namespace trustpoint::crypto
