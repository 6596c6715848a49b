// What a new key must be: the templates that ask for it, and the checks that it came out so. For this room
// alone.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "crypto/private_key.hpp"
#include "hsm/make_key.hpp"
#include "hsm/token_key.hpp"
#include "pkcs11/object.hpp"
#include "pkcs11/session.hpp"

namespace trustpoint::hsm {

struct Wanted {
  crypto::KeyType type;
  unsigned bits;
  std::optional<crypto::Curve> curve;  // EC
  Usage usage;
  std::optional<AesMode> mode;  // AES
};

// How much a template says: everything; without what modules of before 2.40 do not know; without what some do
// not let anybody set. What matters is read back in any case.
enum class Extent : std::uint8_t { kFull, kCommon, kBare };

pkcs11::Template PrivateTemplate(const NewKey& key, crypto::KeyType type, Usage usage, Extent extent);
pkcs11::Template PublicTemplate(const NewKey& key, crypto::KeyType type, Usage usage, Extent extent);
pkcs11::Template AesTemplate(const NewKey& key, AesMode mode, Extent extent);

// The two halves of a pair that the token makes.
class PairTemplates {
 public:
  using Change = std::function<void(pkcs11::Template&)>;

  PairTemplates(const NewKey& key, crypto::KeyType type, Usage usage)
      : key_(key), type_(type), usage_(usage) {}
  void AddToPublic(Change change) { change_ = std::move(change); }
  pkcs11::Template public_half(Extent extent) const;
  pkcs11::Template private_half(Extent extent) const;

 private:
  NewKey key_;
  crypto::KeyType type_;
  Usage usage_;
  Change change_;
};

// The two halves of a key that is brought in. value must outlive it and its templates.
class ImportTemplates {
 public:
  ImportTemplates(const NewKey& key, const crypto::PrivateKey& value, Usage usage);
  pkcs11::Template public_half(Extent extent) const;
  pkcs11::Template private_half(Extent extent) const;

 private:
  NewKey key_;
  const crypto::PrivateKey& value_;
  Usage usage_;
  std::vector<std::uint8_t> encoded_point_;  // EC: the point in an OCTET STRING
};

// Throws kTokenRefused when the key is not what was wanted, naming what is not.
void CheckMade(pkcs11::Session& session, const TokenKey& key, std::string_view label, const Wanted& wanted);
// Uses the key once and checks the result in this process. Throws kTokenRefused when it does not work.
void TryMade(pkcs11::Session& session, const TokenKey& key, const Wanted& wanted);
// Every object with the id, as far as the token lets us.
void DestroyQuietly(pkcs11::Session& session, base::Bytes id) noexcept;

}  // namespace trustpoint::hsm
