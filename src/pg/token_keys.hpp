// From a label to a key of the token that the caller may use.
#pragma once

#include <string_view>

#include "pg/known_keys.hpp"
#include "pg/postgres.hpp"
#include "pg/token.hpp"

namespace trustpoint::pg {

// Takes in what other backends have changed. May ereport, as everything here.
void RefreshTokenKeys(FunctionCallInfo fcinfo);

// The key of the label, after RefreshTokenKeys: the one that has it in tp_token_key, else the one that other
// tools made, which is the owner's to use. Raises 42501 for a key of the keyring and for a role without a
// grant for the operation; 42704 and 42710 when there is no such key, or more than one. Good until the next
// call of either.
const KnownKey& FindTokenKey(std::string_view label, Operation operation);
// The same, and sets *is_key, also where it raises then, once the label is found to be a key's that the
// caller may know of, or one that is kept for the keyring: so it is no data that somebody took for a label.
const KnownKey& FindTokenKey(std::string_view label, Operation operation, bool* is_key);

// Raises 42501 for what belongs to the keyring, as IsKeyringLabel tells.
void RefuseKeyringLabel(std::string_view label, bool has_row);

// Raises unless the label can be a new key's: 42501, 22023.
void CheckNewKeyLabel(std::string_view label);

// Raises 42710 when the label is taken by a row of this database; objects of other tools the core sees.
void RefuseTakenLabel(std::string_view label);

// Runs body(session, key) on the token. It may run twice. May ereport; the body must not.
template <class Body>
void WithTokenKey(const KnownKey& known, Body&& body) {
  Backend& backend = ThisBackend();
  RunWithKeys([&](pkcs11::Connection& connection) {
    connection.Run(pkcs11::Level::kLogin, [&](pkcs11::Session& session) {
      body(session, backend.token_keys.Find(session, connection.epoch(), known.ref()));
    });
  });
}

}  // namespace trustpoint::pg
