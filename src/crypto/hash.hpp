// SHA-1 and SHA-2, at once or in pieces. SHA-1 serves OAEP alone: no signature uses it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"

struct evp_md_ctx_st;

namespace trustpoint::crypto {

enum class Hash : std::uint8_t { kSha1, kSha224, kSha256, kSha384, kSha512 };

inline constexpr std::size_t kMaxHashSize = 64;

std::size_t HashSize(Hash hash) noexcept;
// "sha256".
const char* HashName(Hash hash) noexcept;
// All but sha1.
std::optional<Hash> HashFromName(std::string_view name) noexcept;

// A finished hash. Plain data, so a longjmp may pass over it.
struct Digest {
  Hash hash;
  std::uint8_t size;
  base::Block<kMaxHashSize> bytes;
  base::Bytes view() const noexcept { return base::Bytes(bytes).first(size); }
};

class Hasher {
 public:
  explicit Hasher(Hash hash);
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void Update(base::Bytes data);
  // Once.
  Digest Finish();

 private:
  Hash hash_;
  evp_md_ctx_st* context_;
};

Digest HashOf(Hash hash, base::Bytes data);

// A hash that was made elsewhere. Throws kInvalidArgument when it has not the hash's length.
Digest DigestFrom(Hash hash, base::Bytes bytes);

}  // namespace trustpoint::crypto
