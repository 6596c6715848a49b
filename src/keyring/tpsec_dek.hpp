// Taking over a DEK that Trustpoint protected by a KEK of its own in the token.
#pragma once

#include <string_view>

#include "base/secret.hpp"
#include "envelope/tpsec.hpp"
#include "envelope/tpsec_dek.hpp"
#include "pkcs11/session.hpp"

namespace trustpoint::keyring {

// Opens it by the AES key with this label. Throws kNotFound or kExists (no such key, more than one),
// kInvalidArgument for a KEK of ours, which opens nothing but our own rows, and kAuthenticationFailed when
// the bytes do not open. Forms that prove nothing (envelope::ProvesItself) may give a wrong DEK.
base::Secret OpenTpsecDek(pkcs11::Session& session, std::string_view kek_label,
                          const envelope::TpsecDek& wrapped);

// Whether the field opens under the DEK, padding included. scratch: as long as its ciphertext; wiped again.
bool OpensField(base::Bytes dek, const envelope::TpsecField& field, base::MutableBytes scratch);

}  // namespace trustpoint::keyring
