#include "keyring/tpsec_dek.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "envelope/dek.hpp"
#include "keyring/tpsec.hpp"
#include "pkcs11/foreign_key.hpp"
#include "pkcs11/object.hpp"

namespace trustpoint::keyring {
namespace {

using base::Error;
using base::ErrorCode;
using envelope::TpsecWrap;

CK_OBJECT_HANDLE FindForeignKek(pkcs11::Session& session, std::string_view label) {
  pkcs11::Template search;
  search.Add(CKA_CLASS, CK_ULONG{CKO_SECRET_KEY}).Add(CKA_KEY_TYPE, CK_ULONG{CKK_AES}).Add(CKA_LABEL, label);
  const CK_OBJECT_HANDLE kek = pkcs11::FindOne(session, search, "AES key \"" + std::string(label) + "\"");
  const auto id = pkcs11::ReadBytes(session, kek, CKA_ID).value_or(std::vector<std::uint8_t>());
  const auto& prefix = envelope::kKekIdPrefix;
  if (id.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), id.begin()))
    throw Error(ErrorCode::kInvalidArgument,
                "the key \"" + std::string(label) + "\" is a KEK of this extension", {},
                "Name the KEK that Trustpoint protected its DEK with.");
  return kek;
}

base::Secret Open(pkcs11::Session& session, CK_OBJECT_HANDLE kek, const envelope::TpsecDek& wrapped) {
  switch (wrapped.wrap) {
    case TpsecWrap::kEcb:
      return pkcs11::DecryptEcb(session, kek, wrapped.ciphertext);
    case TpsecWrap::kWrapKey:
      return pkcs11::UnwrapForeign(session, kek, wrapped.ciphertext, envelope::kDekSize);
    case TpsecWrap::kCbcPad:
      return pkcs11::DecryptCbcPad(session, kek, wrapped.iv, wrapped.ciphertext);
    case TpsecWrap::kCbc:
      return pkcs11::DecryptCbc(session, kek, wrapped.iv, wrapped.ciphertext);
  }
  return {};
}

}  // namespace

base::Secret OpenTpsecDek(pkcs11::Session& session, std::string_view kek_label,
                          const envelope::TpsecDek& wrapped) {
  base::Secret dek = Open(session, FindForeignKek(session, kek_label), wrapped);
  if (dek.size() != envelope::kDekSize)
    throw Error(ErrorCode::kAuthenticationFailed,
                "the wrapped DEK does not open by the key \"" + std::string(kek_label) + "\"",
                "Another key wrapped it, or its bytes were changed.",
                "Give the whole value that Trustpoint stores, and the label of the KEK that belongs to it.");
  return dek;
}

bool OpensField(base::Bytes dek, const envelope::TpsecField& field, base::MutableBytes scratch) {
  const Dek key(envelope::Purpose::kTpsec, dek);
  TpsecCipher cipher;
  const bool opens =
      cipher.Open(key, field, scratch) && envelope::TpsecPlaintextSize(field.form, scratch).has_value();
  base::Wipe(scratch);
  return opens;
}

}  // namespace trustpoint::keyring
