// Changes to keys of the token that exist. KEKs are refused, and no usage flag ever changes.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "hsm/token_key.hpp"

namespace trustpoint::hsm {

// Throws kExists when a key of the token has the label. except_id: of the one key that may.
void RequireFreeLabel(pkcs11::Session& session, std::string_view label, base::Bytes except_id = {});

// Both halves of a pair. Throws kExists when an object has the new label, kInvalidArgument when it is no
// label. Safe to run twice. The caller forgets its KeyCache.
void RenameKey(pkcs11::Session& session, const TokenKey& key, std::string_view new_label);

// Those of a key's halves, to which other tools may have given different ones.
struct Labels {
  std::string secret, public_half;
};
Labels ReadLabels(pkcs11::Session& session, const TokenKey& key);

// Gives a key back the labels it had, at a rollback and after a crash. Other tools may have given it some
// that would not be new labels: empty, too long, or another key's as well.
void RestoreLabels(pkcs11::Session& session, const TokenKey& key, const Labels& labels);

// attribute: CKA_SUBJECT ("CN=device 1,O=Acme"), CKA_START_DATE or CKA_END_DATE ("2026-01-31"), of both
// halves;
// "" empties it. Throws kInvalidArgument for every other attribute and for values that are none,
// kTokenRefused when the token does not keep what it was given.
void SetKeyAttribute(pkcs11::Session& session, const TokenKey& key, std::string_view attribute,
                     std::string_view value);

// Every key object with this id (a pair has two); how many there were. For destruction at commit, for the
// undo at rollback and for the sweep after a crash. Throws kInvalidArgument for a KEK or an empty id.
std::size_t DestroyKey(pkcs11::Session& session, base::Bytes id);

}  // namespace trustpoint::hsm
