// RFC 3394 spelled out over single AES blocks, for tokens without CKM_AES_KEY_WRAP.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "pkcs11/cryptoki.hpp"
#include "pkcs11/session.hpp"

namespace trustpoint::pkcs11 {

std::vector<std::uint8_t> WrapByBlocks(Session& session, CK_OBJECT_HANDLE kek, base::Bytes payload);
// Empty when the integrity check fails.
base::Secret UnwrapByBlocks(Session& session, CK_OBJECT_HANDLE kek, base::Bytes wrapped);

}  // namespace trustpoint::pkcs11
