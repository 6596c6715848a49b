// The keys and objects of a token, to be looked at.
#pragma once

#include <string>
#include <vector>

#include "hsm/token_key.hpp"

namespace trustpoint::hsm {

// One object. A flag that the module does not show is nullopt.
struct ObjectInfo {
  std::string object_class;  // "private key", "public key", "secret key", "certificate", "data", "0x..."
  std::string label;
  std::vector<std::uint8_t> id;
  std::string type;   // "RSA", "EC", "AES", "0x..."; empty when it is no key
  unsigned bits = 0;  // RSA, AES; 0: unknown
  std::string curve;  // EC: "P-256", else the OID's DER in hex
  std::string usage;  // "sign", "decrypt, unwrap", ...: the flags that are set
  std::string mode;   // AES: "gcm", ...; empty: the token does not say
  bool kek = false;   // belongs to the keyring: shown, and touched by nothing in this room
  std::optional<bool> sensitive, extractable, always_sensitive, never_extractable, local, modifiable;
};

// Every object of the token that the login shows, in no order. The token's order may change.
std::vector<ObjectInfo> ListObjects(pkcs11::Session& session);

struct AttributeInfo {
  std::string object_class;  // as above: a key pair has two objects
  std::string name;          // "CKA_SENSITIVE"
  std::string value;         // "true", "2048", hex, or text
};

// What the token shows of the key and its public half. Never a secret value: those are not asked for.
std::vector<AttributeInfo> ReadAttributes(pkcs11::Session& session, const TokenKey& key);

}  // namespace trustpoint::hsm
