// RFC 3394 (AES key wrap) by a key in the token: as one generic secret by CKM_AES_KEY_WRAP, or by
// single-block CKM_AES_ECB calls where a module or the key lacks it. Both give the same bytes.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "pkcs11/cryptoki.hpp"
#include "pkcs11/session.hpp"

namespace trustpoint::pkcs11 {

enum class WrapMethod : std::uint8_t { kKeyWrap, kSingleBlocks };

// The method that the module offers to a new key: kKeyWrap where it has CKM_AES_KEY_WRAP with wrap and
// unwrap. Throws kTokenRefused when it has neither.
WrapMethod BestWrapMethod(Session& session);

// payload: a multiple of 8 bytes, 16 to 256. Returns 8 bytes more.
std::vector<std::uint8_t> WrapBytes(Session& session, CK_OBJECT_HANDLE kek, WrapMethod method,
                                    base::Bytes payload);

// wrapped: a multiple of 8 bytes, 24 to 264. An empty Secret: the integrity check of RFC 3394 failed, so the
// bytes are damaged or another key wrapped them. Other refusals of the token throw.
base::Secret UnwrapBytes(Session& session, CK_OBJECT_HANDLE kek, WrapMethod method, base::Bytes wrapped);

// What UnwrapBytes does by CKM_AES_KEY_WRAP, by another mechanism that adds 8 bytes or more. wrapped: 9 bytes
// or more.
base::Secret UnwrapByMechanism(Session& session, CK_OBJECT_HANDLE kek, CK_MECHANISM_TYPE mechanism,
                               base::Bytes wrapped);

// Whether a refusal to unwrap or decrypt means the bytes, and not the token.
bool SaysDamaged(Session& session, CK_RV rv);

}  // namespace trustpoint::pkcs11
