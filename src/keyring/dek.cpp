#include "keyring/dek.hpp"

#include <string>

#include "base/error.hpp"
#include "crypto/kdf.hpp"
#include "crypto/random.hpp"

namespace trustpoint::keyring {
namespace {

using base::Error;
using base::ErrorCode;

// The kernel's randomness and the token's, so that neither alone decides a DEK.
void MixRandom(pkcs11::Session& session, base::MutableBytes dek) {
  base::Secret seed(64);
  crypto::Random(seed.bytes().first(32));
  std::size_t size = 64;
  const CK_RV rv = session.api()->C_GenerateRandom(session.handle(), seed.bytes().data() + 32, 32);
  if (rv == CKR_RANDOM_NO_RNG || rv == CKR_FUNCTION_NOT_SUPPORTED)
    size = 32;
  else
    session.Check(rv, "C_GenerateRandom");
  crypto::HkdfSha256(seed.view().first(size), "trustpoint dek v1", dek);
}

void Wrap(Kek& kek, base::Bytes dek, DekRow* row) {
  row->kek_id = kek.id();
  const Binding binding = BindingOf(*row);
  base::Secret payload(envelope::kPayloadSize);
  base::Copy(payload.bytes(), dek);
  base::Copy(payload.bytes().subspan(envelope::kDekSize), binding);
  row->wrapped = kek.Wrap(payload.view());
  row->check_value = CheckValue(dek, binding);
}

std::string Named(const DekRow& row) {
  return "DEK " + std::to_string(row.id) + " (" + std::string(row.name_view()) + ")";
}

}  // namespace

void MakeDek(pkcs11::Session& session, Kek& kek, DekRow* row) {
  base::Secret dek(envelope::kDekSize);
  MixRandom(session, dek.bytes());
  Wrap(kek, dek.view(), row);
}

bool IsDekOf(const DekRow& row, base::Bytes dek) {
  return crypto::ConstantTimeEqual(CheckValue(dek, BindingOf(row)), row.check_value);
}

Dek OpenDek(Kek& kek, const DekRow& row) { return Dek(row.purpose, UnwrapDek(kek, row).view()); }

base::Secret UnwrapDek(Kek& kek, const DekRow& row) {
  const base::Secret payload = kek.Unwrap(row.wrapped);
  if (payload.size() != envelope::kPayloadSize)
    throw Error(ErrorCode::kDamagedKey, "the wrapped key of " + Named(row) + " is damaged",
                "The KEK is the right one, but the bytes in tp_dek do not open.",
                "Restore this row of tp_dek from a backup.");
  const base::Bytes dek = payload.view().first(envelope::kDekSize);
  const Binding binding = BindingOf(row);
  if (!crypto::ConstantTimeEqual(payload.view().subspan(envelope::kDekSize), binding))
    throw Error(ErrorCode::kDamagedKey, "the wrapped key of " + Named(row) + " belongs to another row",
                "It was made for another id, name, purpose or KEK.",
                "Somebody moved it. Restore tp_dek from a backup.");
  if (!crypto::ConstantTimeEqual(CheckValue(dek, binding), row.check_value))
    throw Error(ErrorCode::kDamagedKey, "the check value of " + Named(row) + " does not match its key", {},
                "Restore this row of tp_dek from a backup.");
  return base::Secret(dek);
}

void WrapDek(Kek& kek, base::Bytes dek, DekRow* row) {
  DekRow changed = *row;
  Wrap(kek, dek, &changed);
  if (!crypto::ConstantTimeEqual(UnwrapDek(kek, changed).view(), dek))
    throw Error(ErrorCode::kInternal, "the token gave back another key than it wrapped");
  *row = changed;
}

}  // namespace trustpoint::keyring
