// An operation of a key in two calls: C_*Init and the call that does it. The output buffer is the largest
// that can be needed, as asking a module for the size first is not reliable.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "pkcs11/cryptoki.hpp"
#include "pkcs11/session.hpp"

namespace trustpoint::pkcs11 {

// A mechanism, and what names it in messages: "CKM_RSA_PKCS_PSS with SHA-224" where its own name says too
// little; empty: its own name.
struct NamedMechanism {
  CK_MECHANISM mechanism;
  std::string_view name = {};
};

// Throws kTokenRefused, naming the mechanism, when the token does not list it for these uses (CKF_SIGN, ...).
void RequireMechanism(Session& session, CK_MECHANISM_TYPE type, CK_FLAGS needed);

// Throws kTokenRefused, naming the mechanism, when rv says that the token cannot do it; else as
// Session::Check.
void CheckInit(Session& session, CK_RV rv, const char* function, const NamedMechanism& mechanism);

// All return the size of the output.
std::size_t SignOnce(Session& session, NamedMechanism mechanism, CK_OBJECT_HANDLE key, base::Bytes data,
                     base::MutableBytes out);
std::size_t EncryptOnce(Session& session, NamedMechanism mechanism, CK_OBJECT_HANDLE key, base::Bytes data,
                        base::MutableBytes out);
// nullopt: the token says that the data is bad, which also a vague answer of a token that is there means. The
// operation must then throw, so that the session is given up.
std::optional<std::size_t> DecryptOnce(Session& session, NamedMechanism mechanism, CK_OBJECT_HANDLE key,
                                       base::Bytes data, base::MutableBytes out);

}  // namespace trustpoint::pkcs11
