#include "keyring/kek.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "crypto/kdf.hpp"
#include "crypto/random.hpp"
#include "keyring/kek_attributes.hpp"
#include "pkcs11/object.hpp"

namespace trustpoint::keyring {
namespace {

using base::Error;
using base::ErrorCode;
using pkcs11::Template;
using pkcs11::WrapMethod;

WrapMethod MethodOf(KekUse use) {
  return use == KekUse::kWrap ? WrapMethod::kKeyWrap : WrapMethod::kSingleBlocks;
}

std::string Quoted(std::string_view label) { return "\"" + std::string(label) + "\""; }

// The one object that has this label or this id; more than one is an attack or an accident, never a choice.
std::vector<CK_OBJECT_HANDLE> Matching(pkcs11::Session& session, base::Bytes id, std::string_view label) {
  std::vector<CK_OBJECT_HANDLE> all;
  const auto collect = [&](Template& search) {
    for (const CK_OBJECT_HANDLE handle : pkcs11::Find(session, search, 8))
      if (std::find(all.begin(), all.end(), handle) == all.end()) all.push_back(handle);
  };
  if (!id.empty()) {
    Template by_id;
    by_id.Add(CKA_CLASS, CK_ULONG{CKO_SECRET_KEY}).Add(CKA_ID, id);
    collect(by_id);
  }
  Template by_label;
  by_label.Add(CKA_CLASS, CK_ULONG{CKO_SECRET_KEY}).Add(CKA_LABEL, label);
  collect(by_label);
  return all;
}

// Which the functions for keys of the token would no longer reach.
bool HasPrivateOrPublic(pkcs11::Session& session, std::string_view label) {
  for (const CK_OBJECT_CLASS kind : {CKO_PRIVATE_KEY, CKO_PUBLIC_KEY}) {
    Template search;
    search.Add(CKA_CLASS, CK_ULONG{kind}).Add(CKA_LABEL, label);
    if (!pkcs11::Find(session, search, 1).empty()) return true;
  }
  return false;
}

[[noreturn]] void ThrowAmbiguous(std::string_view label) {
  throw Error(ErrorCode::kExists,
              "more than one key in the token has the label or the id of the KEK " + Quoted(label),
              "trustpoint does not guess which one is the KEK.",
              "Remove or rename the other key with the tools of the token.");
}

[[noreturn]] void ThrowTaken(std::string_view label) {
  throw Error(ErrorCode::kExists, "the label " + Quoted(label) + " belongs to another key in the token", {},
              "Choose a label that is free; tp_setup and tp_recover_dek take trustpoint.kek_label.");
}

base::Block<32> ProbePayload() { return crypto::Sha256({base::AsBytes("trustpoint kek probe v1")}); }

base::Block<kProbeSize> MakeProbe(pkcs11::Session& session, CK_OBJECT_HANDLE kek, WrapMethod method) {
  const auto wrapped = pkcs11::WrapBytes(session, kek, method, ProbePayload());
  base::Block<kProbeSize> probe{};
  if (wrapped.size() != probe.size())
    throw Error(ErrorCode::kInternal, "the token's key wrap has another size");
  base::Copy(probe, wrapped);
  return probe;
}

CK_OBJECT_HANDLE GenerateKek(pkcs11::Session& session, base::Bytes id, std::string_view label, KekUse use) {
  Template attributes;
  attributes.Add(CKA_CLASS, CK_ULONG{CKO_SECRET_KEY})
      .Add(CKA_KEY_TYPE, CK_ULONG{CKK_AES})
      .Add(CKA_VALUE_LEN, CK_ULONG{32})
      .Add(CKA_ID, id)
      .Add(CKA_LABEL, label);
  AddKekAttributes(&attributes, use);

  CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, nullptr, 0};
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
  session.MarkSent();
  CK_RV rv = session.api()->C_GenerateKey(session.handle(), &mechanism, attributes.data(), attributes.size(),
                                          &handle);
  // Older modules do not know this one; NSS's database then says what it says of every fault.
  if (rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_GENERAL_ERROR) {
    const auto made = Matching(session, id, label);
    if (made.size() == 1) return made[0];  // the fault came after the key
    attributes.Remove(CKA_COPYABLE);
    const CK_RV again = session.api()->C_GenerateKey(session.handle(), &mechanism, attributes.data(),
                                                     attributes.size(), &handle);
    if (again == CKR_OK && rv == CKR_GENERAL_ERROR && pkcs11::ReadBool(session, handle, CKA_COPYABLE))
      pkcs11::Destroy(session, handle);  // the module knows it: the fault was another
    else
      rv = again;
  }
  session.Check(rv, "C_GenerateKey");
  return handle;
}

template <std::size_t N>
void PutText(char (&target)[N], std::string_view text) {
  const std::size_t size = std::min(text.size(), N - 1);
  std::copy_n(text.data(), size, target);
  target[size] = '\0';
}

KekRow DescribeKek(pkcs11::Session& session, CK_OBJECT_HANDLE handle, base::Bytes id, std::string_view label,
                   std::string_view serial, KekUse use) {
  KekRow row{};
  base::Copy(row.id, id);
  PutText(row.label, label);
  PutText(row.token_serial, serial);
  row.use = use;
  row.probe = MakeProbe(session, handle, MethodOf(use));
  return row;
}

}  // namespace

Kek::Kek(pkcs11::Session& session, const KekRow& row)
    : session_(session), id_(row.id), handle_(CK_INVALID_HANDLE), method_(MethodOf(row.use)) {
  const auto found = Matching(session, row.id, row.label);
  if (found.size() > 1) ThrowAmbiguous(row.label);
  if (found.empty() ||
      pkcs11::ReadBytes(session, found[0], CKA_ID) != std::vector(row.id.begin(), row.id.end()))
    throw Error(ErrorCode::kNotFound, "the KEK " + Quoted(row.label) + " is not in the token",
                "Its row in tp_kek names token serial " + std::string(row.token_serial) + ".",
                "Connect the token that holds it, or restore that token from its backup.");
  handle_ = found[0];
  unknown_attributes_ = CheckKekAttributes(session, handle_, row.label, row.use);

  const base::Secret probe = pkcs11::UnwrapBytes(session, handle_, method_, row.probe);
  if (!crypto::ConstantTimeEqual(probe.view(), ProbePayload()))
    throw Error(ErrorCode::kWrongKek,
                "the key " + Quoted(row.label) + " in the token is not the KEK of this database",
                "It does not open the probe in tp_kek.",
                "Connect the token that the database was set up with.");
}

base::Block<envelope::kWrappedSize> Kek::Wrap(base::Bytes payload) {
  base::Block<envelope::kWrappedSize> wrapped{};
  const auto bytes = pkcs11::WrapBytes(session_, handle_, method_, payload);
  if (bytes.size() != wrapped.size()) throw Error(ErrorCode::kInternal, "a wrapped DEK has another size");
  base::Copy(wrapped, bytes);
  return wrapped;
}

base::Secret Kek::Unwrap(base::Bytes wrapped) {
  return pkcs11::UnwrapBytes(session_, handle_, method_, wrapped);
}

KekRow FindOrCreateKek(pkcs11::Session& session, std::string_view label, std::string_view serial) {
  if (label.empty() || label.size() > kMaxLabelSize)
    throw Error(ErrorCode::kInvalidArgument, "the label of a KEK must be 1 to 32 bytes long");
  const auto found = Matching(session, {}, label);
  if (found.size() > 1) ThrowAmbiguous(label);
  if (HasPrivateOrPublic(session, label)) ThrowTaken(label);
  if (found.size() == 1) {
    const auto id = pkcs11::ReadBytes(session, found[0], CKA_ID).value_or(std::vector<std::uint8_t>());
    if (id.size() != envelope::kKekIdSize ||
        !std::equal(envelope::kKekIdPrefix.begin(), envelope::kKekIdPrefix.end(), id.begin()))
      ThrowTaken(label);
    const KekUse use =
        pkcs11::ReadBool(session, found[0], CKA_UNWRAP).value_or(false) ? KekUse::kWrap : KekUse::kEncrypt;
    (void)CheckKekAttributes(session, found[0], label, use);
    return DescribeKek(session, found[0], id, label, serial, use);
  }

  const KekUse use =
      pkcs11::BestWrapMethod(session) == WrapMethod::kKeyWrap ? KekUse::kWrap : KekUse::kEncrypt;
  KekId id;
  base::Copy(id, envelope::kKekIdPrefix);
  crypto::Random(base::MutableBytes(id).subspan(envelope::kKekIdPrefix.size()));
  const CK_OBJECT_HANDLE handle = GenerateKek(session, id, label, use);
  try {
    (void)CheckKekAttributes(session, handle, label, use);
    return DescribeKek(session, handle, id, label, serial, use);
  } catch (...) {
    session.api()->C_DestroyObject(session.handle(), handle);  // nothing was wrapped with it yet
    throw;
  }
}

bool DestroyKek(pkcs11::Session& session, const KekRow& row) {
  Template by_id;
  by_id.Add(CKA_CLASS, CK_ULONG{CKO_SECRET_KEY}).Add(CKA_ID, base::Bytes(row.id));
  const auto found = pkcs11::Find(session, by_id, 2);
  if (found.size() > 1) ThrowAmbiguous(row.label);
  if (found.empty()) return false;
  session.MarkSent();
  pkcs11::Destroy(session, found[0]);
  return true;
}

}  // namespace trustpoint::keyring
