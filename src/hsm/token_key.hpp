// A key of the token, found by its id or label, and the handles of those used before.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/algorithm.hpp"
#include "crypto/public_key.hpp"
#include "pkcs11/cryptoki.hpp"
#include "pkcs11/session.hpp"

namespace trustpoint::hsm {

enum class Usage : std::uint8_t { kSign, kDecrypt };
std::optional<Usage> UsageFromName(std::string_view name) noexcept;  // "sign", "decrypt"
const char* UsageName(Usage usage) noexcept;

enum class AesMode : std::uint8_t { kGcm, kCbcPad, kEcb };
std::optional<AesMode> AesModeFromName(std::string_view name) noexcept;  // "gcm", "cbc-pad", "ecb"
const char* AesModeName(AesMode mode) noexcept;

// Which key is meant. By its id where the caller knows it; the label then only names it in messages.
struct KeyRef {
  std::string_view label;
  base::Bytes id;  // empty: by the label alone
};

// One key as the token has it: a private key with its public half, a public key alone, or an AES key.
struct TokenKey {
  std::string label;  // as the token has it
  std::vector<std::uint8_t> id;
  crypto::KeyType type = crypto::KeyType::kRsa;
  unsigned bits = 0;                                   // RSA, AES
  crypto::Curve curve = crypto::Curve::kP256;          // EC
  bool can_sign = false, can_decrypt = false;          // the private or AES key's CKA_SIGN, CKA_DECRYPT
  bool pin_each_time = false;                          // a private key's CKA_ALWAYS_AUTHENTICATE
  std::optional<AesMode> mode;                         // of CKA_ALLOWED_MECHANISMS, where the module keeps it
  CK_OBJECT_HANDLE secret = CK_INVALID_HANDLE;         // the private or AES key; none for a public key alone
  CK_OBJECT_HANDLE public_object = CK_INVALID_HANDLE;  // none where the token keeps no public half

  // nullptr for AES keys, and where the token shows no public half.
  const crypto::PublicKey* public_key() const noexcept { return public_key_ ? &*public_key_ : nullptr; }
  // Throws kInvalidArgument for an AES key, kNotFound where the token shows no public half.
  const crypto::PublicKey& RequirePublic() const;
  // Throws kInvalidArgument for a public key alone, and for a private key that wants the PIN at each use.
  void RequirePrivate() const;

  std::optional<crypto::PublicKey> public_key_;
  mutable unsigned supported = 0;  // bits of the schemes that the token is known to sign with
};

// Looks in the token, past every cache. Throws kNotFound; kExists when more than one key matches;
// kInvalidArgument when it is a KEK or of a kind that we do not serve.
TokenKey FindKey(pkcs11::Session& session, const KeyRef& ref);

// Keys found before, and what the token can do. A member of Backend: it dies with the epoch of the handles.
class KeyCache {
 public:
  // epoch: connection.epoch(). As FindKey; the reference is good until the next call.
  const TokenKey& Find(pkcs11::Session& session, std::uint64_t epoch, const KeyRef& ref);
  // After a rename, a change or a destruction.
  void Forget() noexcept { keys_.clear(); }

 private:
  std::uint64_t epoch_ = 0;
  std::map<std::string, TokenKey, std::less<>> keys_;  // by 'i' and the id, or 'l' and the label
};

}  // namespace trustpoint::hsm
