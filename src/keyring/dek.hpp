// Making a DEK, and opening one: from the token, through every check, to usable subkeys.
#pragma once

#include "keyring/kek.hpp"
#include "keyring/rows.hpp"
#include "keyring/subkeys.hpp"
#include "pkcs11/session.hpp"

namespace trustpoint::keyring {

// Fills wrapped and check_value of a row whose other fields are set, with a new random DEK.
void MakeDek(pkcs11::Session& session, Kek& kek, DekRow* row);

// Whether the row is one of this DEK, by its check value.
bool IsDekOf(const DekRow& row, base::Bytes dek);

// Unwraps the DEK of the row and checks it. Throws kDamagedKey, with one message for damaged bytes and
// another for bytes that belong to another row.
Dek OpenDek(Kek& kek, const DekRow& row);

// The same, and the DEK itself: only to wrap it anew.
base::Secret UnwrapDek(Kek& kek, const DekRow& row);

// Puts a DEK under the KEK: sets the KEK's id, the wrapped bytes and the check value of the row, opens it
// again and compares. The row is changed when all of that has worked.
void WrapDek(Kek& kek, base::Bytes dek, DekRow* row);

}  // namespace trustpoint::keyring
