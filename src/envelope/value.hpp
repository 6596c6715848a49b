// The stored value (all integers big-endian):
//
//   value = suite(1) key_id(4) nonce(N) ciphertext(n) tag(16)
//   suite = 0xE1  XAES-256-GCM, N = 24      0xE2  AES-256-GCM, N = 12
//   AAD   = "tp1" suite key_id context      context: the caller's text as UTF-8, authenticated and not stored
//
// Parsing and writing never allocate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.hpp"

namespace trustpoint::envelope {

enum class Suite : std::uint8_t { kXaes256Gcm = 0xE1, kAes256Gcm = 0xE2 };

inline constexpr std::size_t kHeaderSize = 5;  // suite and key id
inline constexpr std::size_t kTagSize = 16;
inline constexpr std::size_t kMaxNonceSize = 24;

constexpr std::size_t NonceSize(Suite suite) { return suite == Suite::kXaes256Gcm ? 24 : 12; }
constexpr std::size_t Overhead(Suite suite) { return kHeaderSize + NonceSize(suite) + kTagSize; }

// The names that settings and tp_inspect use: "xaes-256-gcm", "aes-256-gcm".
const char* SuiteName(Suite suite);

// Views into the stored bytes.
struct Value {
  Suite suite;
  std::uint32_t key_id;
  base::Bytes nonce;
  base::Bytes ciphertext;
  base::Bytes tag;
};

// Whether size bytes that start with head (kHeaderSize of them, or all) have the form of a value.
bool IsWellFormed(base::Bytes head, std::size_t size) noexcept;

// nullopt: not well-formed, that is an unknown suite, key id out of 1 .. 2^31 - 1, or shorter than the
// overhead of its suite.
std::optional<Value> Parse(base::Bytes stored) noexcept;

// Where the parts of a new value go in stored, which is Overhead(suite) + plaintext bytes long; suite and key
// id are written.
struct ValueSlots {
  base::MutableBytes nonce;
  base::MutableBytes ciphertext;
  base::MutableBytes tag;
};
ValueSlots Lay(Suite suite, std::uint32_t key_id, base::MutableBytes stored) noexcept;

// The constant-size head of the AAD; the context follows it.
inline constexpr std::size_t kAadHeadSize = 8;
base::Block<kAadHeadSize> AadHead(Suite suite, std::uint32_t key_id) noexcept;

}  // namespace trustpoint::envelope
