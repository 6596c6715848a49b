// Keys that other software wrapped or encrypted by a key in the token, opened by that key.
//
// What wrapped them is found by trying: the number of a mechanism names different algorithms in different
// modules (0x210A is RFC 5649 in SoftHSM and PKCS#7 padding in NSS), so nobody stores it.
#pragma once

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "pkcs11/cryptoki.hpp"
#include "pkcs11/session.hpp"

namespace trustpoint::pkcs11 {

// A key of exactly size bytes, a multiple of 8, that C_WrapKey made by RFC 3394, by RFC 5649, or by PKCS#7
// padding and RFC 3394. An empty Secret: it is none of these under this key; each has a check of its own.
base::Secret UnwrapForeign(Session& session, CK_OBJECT_HANDLE key, base::Bytes wrapped, std::size_t size);

// What C_Encrypt made by CKM_AES_ECB, CKM_AES_CBC or CKM_AES_CBC_PAD. These prove nothing: another key, or
// other bytes, give another plaintext, or an empty Secret where the padding is wrong.
base::Secret DecryptEcb(Session& session, CK_OBJECT_HANDLE key, base::Bytes ciphertext);
base::Secret DecryptCbc(Session& session, CK_OBJECT_HANDLE key, base::Bytes iv, base::Bytes ciphertext);
base::Secret DecryptCbcPad(Session& session, CK_OBJECT_HANDLE key, base::Bytes iv, base::Bytes ciphertext);

}  // namespace trustpoint::pkcs11
