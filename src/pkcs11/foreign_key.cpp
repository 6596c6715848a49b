#include "pkcs11/foreign_key.hpp"

#include <algorithm>

#include "pkcs11/key_wrap.hpp"
#include "pkcs11/token.hpp"

namespace trustpoint::pkcs11 {
namespace {

constexpr std::size_t kWord = 8;    // what RFC 3394 and 5649 add, and the block that PKCS#7 fills here
constexpr std::size_t kBlock = 16;  // of AES

// Of PKCS#11 3.0: RFC 5649, and PKCS#7 padding before RFC 3394.
constexpr CK_MECHANISM_TYPE kKwp = 0x210B, kPkcs7 = 0x210C;

// A multiple of 8 bytes is padded by a whole word of eights.
bool EndsInPkcs7Word(base::Bytes padded) {
  const base::Bytes word = padded.last(kWord);
  return std::all_of(word.begin(), word.end(), [](std::uint8_t byte) { return byte == kWord; });
}

base::Secret Decrypt(Session& session, CK_OBJECT_HANDLE key, CK_MECHANISM mechanism, base::Bytes ciphertext) {
  session.Check(session.api()->C_DecryptInit(session.handle(), &mechanism, key), "C_DecryptInit");
  base::Secret buffer(ciphertext.size() + kBlock);  // room for modules that want more than the result takes
  CK_ULONG size = buffer.size();
  const CK_RV rv = session.api()->C_Decrypt(session.handle(), const_cast<CK_BYTE*>(ciphertext.data()),
                                            ciphertext.size(), buffer.bytes().data(), &size);
  if (SaysDamaged(session, rv)) return {};
  session.Check(rv, "C_Decrypt");
  return base::Secret(buffer.view().first(std::min<std::size_t>(size, buffer.size())));
}

}  // namespace

base::Secret UnwrapForeign(Session& session, CK_OBJECT_HANDLE key, base::Bytes wrapped, std::size_t size) {
  for (const CK_MECHANISM_TYPE mechanism : {CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_PAD, kKwp, kPkcs7}) {
    if (!HasMechanism(session.module(), session.slot(), mechanism, CKF_UNWRAP)) continue;
    base::Secret found = UnwrapByMechanism(session, key, mechanism, wrapped);
    if (found.size() == size) return found;
    // PKCS#7 padding, on a module that knows RFC 3394 alone.
    if (mechanism == CKM_AES_KEY_WRAP && found.size() == size + kWord && EndsInPkcs7Word(found.view()))
      return base::Secret(found.view().first(size));
  }
  return {};
}

base::Secret DecryptEcb(Session& session, CK_OBJECT_HANDLE key, base::Bytes ciphertext) {
  return Decrypt(session, key, {CKM_AES_ECB, nullptr, 0}, ciphertext);
}

base::Secret DecryptCbc(Session& session, CK_OBJECT_HANDLE key, base::Bytes iv, base::Bytes ciphertext) {
  return Decrypt(session, key, {CKM_AES_CBC, const_cast<std::uint8_t*>(iv.data()), iv.size()}, ciphertext);
}

base::Secret DecryptCbcPad(Session& session, CK_OBJECT_HANDLE key, base::Bytes iv, base::Bytes ciphertext) {
  return Decrypt(session, key, {CKM_AES_CBC_PAD, const_cast<std::uint8_t*>(iv.data()), iv.size()},
                 ciphertext);
}

}  // namespace trustpoint::pkcs11
