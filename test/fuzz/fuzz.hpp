// What the fuzzers share. Each takes any bytes and holds what the code makes of them against what its header
// promises: a crash, another exception than base::Error, or a broken promise ends the process.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <vector>

#include "base/bytes.hpp"
#include "base/error.hpp"

namespace trustpoint::test {

using Buffer = std::vector<std::uint8_t>;

inline void Require(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", promise);
  std::abort();
}

inline bool Same(base::Bytes a, base::Bytes b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

inline Buffer Copied(base::Bytes bytes) { return {bytes.begin(), bytes.end()}; }

// Tells the fuzzer that this input did something new, where it cannot see it: OpenSSL is built without its
// counters. sign names what was seen.
inline void Mark(std::size_t sign) {
  [[gnu::section("__libfuzzer_extra_counters")]] static std::uint8_t counters[4096];
  sign *= 0x9E3779B97F4A7C15U;
  counters[(sign >> 32) % sizeof counters] = 1;
}

// Whether body returns. It may throw an Error with one of the codes, and nothing else.
template <class Body>
bool Accepts(std::initializer_list<base::ErrorCode> codes, Body body) {
  try {
    body();
    return true;
  } catch (const base::Error& error) {
    if (std::find(codes.begin(), codes.end(), error.code()) == codes.end())
      std::fprintf(stderr, "%s: %s\n", error.what(), error.failure().detail);
    Require(std::find(codes.begin(), codes.end(), error.code()) != codes.end(), "no other error");
    return false;
  }
}

// The input, taken apart from its front. Past the end everything is empty.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  std::uint8_t Byte() { return rest_.empty() ? std::uint8_t{0} : Take(1)[0]; }
  base::Bytes Take(std::size_t size) {
    const base::Bytes taken = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  // As many as its first byte says.
  base::Bytes Counted() { return Take(Byte()); }
  base::Bytes rest() const { return rest_; }

 private:
  base::Bytes rest_;
};

// The bytes with one bit of them changed, which they themselves choose.
inline Buffer OneBitChanged(base::Bytes bytes, std::size_t salt = 0) {
  std::size_t hash = 1469598103934665603U + salt;
  for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 1099511628211U;
  Buffer changed = Copied(bytes);
  hash >>= 16;  // the low bits are the weak ones
  changed[hash / 8 % changed.size()] ^= static_cast<std::uint8_t>(1U << hash % 8);
  return changed;
}

}  // namespace trustpoint::test
