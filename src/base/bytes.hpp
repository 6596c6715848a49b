// Views of bytes and the big-endian integers of the stored formats. Nothing here owns memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace trustpoint::base {

using Bytes = std::span<const std::uint8_t>;
using MutableBytes = std::span<std::uint8_t>;

template <std::size_t N>
using Block = std::array<std::uint8_t, N>;

inline Bytes AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline void PutU32(std::uint8_t* out, std::uint32_t value) {
  out[0] = static_cast<std::uint8_t>(value >> 24);
  out[1] = static_cast<std::uint8_t>(value >> 16);
  out[2] = static_cast<std::uint8_t>(value >> 8);
  out[3] = static_cast<std::uint8_t>(value);
}

inline std::uint32_t GetU32(const std::uint8_t* in) {
  return static_cast<std::uint32_t>(in[0]) << 24 | static_cast<std::uint32_t>(in[1]) << 16 |
         static_cast<std::uint32_t>(in[2]) << 8 | in[3];
}

// Adds one to a big-endian number, modulo 2 to the power of its bits.
inline void Increment(MutableBytes number) {
  for (std::size_t i = number.size(); i-- > 0;)
    if (++number[i] != 0) return;
}

// Copies source to the start of target, which must be at least as long. An empty source may have no address.
inline void Copy(MutableBytes target, Bytes source) {
  if (!source.empty()) std::memcpy(target.data(), source.data(), source.size());
}

// out = left ^ right, all of one size; out may be one of them. By words, as not every compiler makes them of
// bytes.
inline void Xor(MutableBytes out, Bytes left, Bytes right) {
  std::size_t i = 0;
  for (std::uint64_t a, b; i + sizeof a <= out.size(); i += sizeof a) {
    std::memcpy(&a, left.data() + i, sizeof a);
    std::memcpy(&b, right.data() + i, sizeof b);
    a ^= b;
    std::memcpy(out.data() + i, &a, sizeof a);
  }
  for (; i < out.size(); ++i) out[i] = left[i] ^ right[i];
}

// Overwrites with zeros. The compiler may not leave it out, as it does not know what reads the memory then:
// what explicit_bzero does, without a call for a few bytes.
inline void Wipe(MutableBytes bytes) noexcept {
  if (bytes.empty()) return;
  std::memset(bytes.data(), 0, bytes.size());
  asm volatile("" : : "r"(bytes.data()) : "memory");
}

}  // namespace trustpoint::base
