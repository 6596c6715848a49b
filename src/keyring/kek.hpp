// The key-encryption key in the token: found by its CKA_ID, checked before every use, made where missing.
#pragma once

#include <string>
#include <string_view>

#include "keyring/rows.hpp"
#include "pkcs11/cryptoki.hpp"
#include "pkcs11/key_wrap.hpp"
#include "pkcs11/session.hpp"

namespace trustpoint::keyring {

// A KEK that is in the token and was checked in this session. Good for the operation that found it.
class Kek {
 public:
  // Finds the KEK of the row. Throws kNotFound (not in this token), kExists (another key of the token has its
  // label or id), kWrongKek (weak attributes; the probe does not open).
  Kek(pkcs11::Session& session, const KekRow& row);

  const KekId& id() const { return id_; }
  // Attributes of the design that the module does not know, so that nobody can demand them; for tp_status().
  const std::string& unknown_attributes() const { return unknown_attributes_; }
  // payload: 64 bytes of DEK and binding.
  base::Block<envelope::kWrappedSize> Wrap(base::Bytes payload);
  // An empty Secret when the bytes are damaged, or were wrapped by another key.
  base::Secret Unwrap(base::Bytes wrapped);

 private:
  pkcs11::Session& session_;
  KekId id_;
  CK_OBJECT_HANDLE handle_;
  pkcs11::WrapMethod method_;
  std::string unknown_attributes_;  // "CKA_COPYABLE, CKA_DERIVE"
};

// The KEK with this label, made by an earlier call or another database; or a new one. Behind the start gate
// only, as two who do this at once would make two. serial: the token's. Throws kExists when the label belongs
// to a key of any kind that is no KEK or to several, kWrongKek when a KEK (found or new) has weak attributes;
// a new one is destroyed first.
KekRow FindOrCreateKek(pkcs11::Session& session, std::string_view label, std::string_view serial);

// Destroys the KEK of the row in the token. False: it is not there. Throws kExists as the constructor of Kek.
bool DestroyKek(pkcs11::Session& session, const KekRow& row);

}  // namespace trustpoint::keyring
