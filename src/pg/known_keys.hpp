// The keys of the token that this backend was allowed to use, as plain C++: what tp_token_key and
// tp_key_grant say of them, until either changes.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "hsm/token_key.hpp"

namespace trustpoint::pg {

// What tp_grant_key grants on a key. kAny: holds whoever has one of them.
enum class Operation : std::uint8_t {
  kSign,
  kSignDigest,
  kVerify,
  kEncrypt,
  kDecrypt,
  kDecryptPkcs1,
  kManage,
  kAny
};
inline constexpr std::size_t kOperations = 8;

// A CKA_ID as plain data.
struct KeyId {
  std::uint8_t size;
  std::uint8_t bytes[64];
  base::Bytes view() const { return {bytes, size}; }
  bool operator==(const KeyId& other) const {
    return size == other.size && std::memcmp(bytes, other.bytes, size) == 0;
  }
};

// Empty when it is longer than an id of ours can be.
inline KeyId ToKeyId(base::Bytes bytes) {
  KeyId id{};
  if (bytes.size() > sizeof id.bytes) return id;
  id.size = static_cast<std::uint8_t>(bytes.size());
  base::Copy(id.bytes, bytes);
  return id;
}

struct KnownKey {
  std::string label, bound_label;  // UTF-8
  KeyId id{};                      // empty: a key of other tools, which the token alone knows by its label
  bool has_row = false;
  std::string token_serial;  // of its row
  crypto::KeyType type = crypto::KeyType::kRsa;
  crypto::Curve curve = crypto::Curve::kP256;  // of kEc only
  std::optional<hsm::AesMode> mode;
  std::uint32_t allowed_role[kOperations] = {};  // that was last found to hold the operation

  hsm::KeyRef ref() const { return {label, id.view()}; }
};

using KnownKeys = std::map<std::string, KnownKey, std::less<>>;  // by label

}  // namespace trustpoint::pg
