// Blocks of PEM, as they stand in a text: nothing is decrypted and no key is built. Included by
// src/crypto/*.cpp alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/bytes.hpp"

namespace trustpoint::crypto {

// Bytes of OpenSSL's memory, perhaps those of a private key: wiped when they are given back.
class Der {
 public:
  Der() noexcept = default;
  Der(std::uint8_t* bytes, std::size_t size) noexcept : bytes_(bytes, size) {}  // takes them
  ~Der();
  Der(Der&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  Der& operator=(Der&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  base::Bytes view() const noexcept { return bytes_; }
  base::MutableBytes bytes() noexcept { return bytes_; }
  void Shorten(std::size_t size) noexcept { bytes_ = bytes_.first(size); }

 private:
  base::MutableBytes bytes_;
};

inline constexpr std::size_t kMaxPemSize = 64 * 1024;  // of a text with a key

struct PemBlock {
  std::string name;
  std::string header;  // of the encryption that is older than PKCS#8: Proc-Type, DEK-Info
  Der der;
};

// The first block whose name ends so, also after what is none. The text is at most kMaxPemSize long.
std::optional<PemBlock> FindPem(std::string_view text, std::string_view end_of_name);

}  // namespace trustpoint::crypto
