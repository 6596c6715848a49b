#include "hsm/key_template.hpp"

#include "hsm/mechanism.hpp"

namespace trustpoint::hsm {

using crypto::KeyType;
using pkcs11::Template;

namespace {

CK_KEY_TYPE TypeOf(KeyType type) {
  switch (type) {
    case KeyType::kRsa:
      return CKK_RSA;
    case KeyType::kEc:
      return CKK_EC;
    case KeyType::kAes:
      break;
  }
  return CKK_AES;
}

Template Begin(const NewKey& key, CK_OBJECT_CLASS object_class, KeyType type) {
  Template attributes;
  attributes.Add(CKA_CLASS, CK_ULONG{object_class})
      .Add(CKA_KEY_TYPE, CK_ULONG{TypeOf(type)})
      .Add(CKA_TOKEN, true)
      .Add(CKA_LABEL, key.label)
      .Add(CKA_ID, key.id);
  return attributes;
}

// Private and secret keys: theirs for ever.
void AddProtection(Template* attributes, Extent extent) {
  attributes->Add(CKA_PRIVATE, true).Add(CKA_SENSITIVE, true).Add(CKA_EXTRACTABLE, false);
  // Left modifiable, as the label is set by a change; no function of ours changes anything else.
  if (extent == Extent::kFull) attributes->Add(CKA_COPYABLE, false);
}

}  // namespace

Template PrivateTemplate(const NewKey& key, KeyType type, Usage usage, Extent extent) {
  Template attributes = Begin(key, CKO_PRIVATE_KEY, type);
  AddProtection(&attributes, extent);
  const bool signs = usage == Usage::kSign;
  attributes.Add(CKA_SIGN, signs);
  if (type == KeyType::kRsa || extent != Extent::kBare)
    attributes.Add(CKA_DECRYPT, !signs).Add(CKA_UNWRAP, false);
  if (extent != Extent::kBare) attributes.Add(CKA_SIGN_RECOVER, false).Add(CKA_DERIVE, false);
  return attributes;
}

Template PublicTemplate(const NewKey& key, KeyType type, Usage usage, Extent extent) {
  Template attributes = Begin(key, CKO_PUBLIC_KEY, type);
  const bool signs = usage == Usage::kSign;
  attributes.Add(CKA_PRIVATE, false).Add(CKA_VERIFY, signs);
  if (type == KeyType::kRsa || extent != Extent::kBare)
    attributes.Add(CKA_ENCRYPT, !signs).Add(CKA_WRAP, false);
  if (extent != Extent::kBare) attributes.Add(CKA_VERIFY_RECOVER, false).Add(CKA_DERIVE, false);
  return attributes;
}

Template AesTemplate(const NewKey& key, AesMode mode, Extent extent) {
  Template attributes = Begin(key, CKO_SECRET_KEY, KeyType::kAes);
  AddProtection(&attributes, extent);
  attributes.Add(CKA_ENCRYPT, true).Add(CKA_DECRYPT, true).Add(CKA_WRAP, false).Add(CKA_UNWRAP, false);
  attributes.Add(CKA_SIGN, false).Add(CKA_VERIFY, false);
  if (extent != Extent::kBare) attributes.Add(CKA_DERIVE, false);
  if (extent == Extent::kFull) attributes.Add(CKA_ALLOWED_MECHANISMS, CK_ULONG{MechanismOf(mode)});
  return attributes;
}

Template PairTemplates::public_half(Extent extent) const {
  Template attributes = PublicTemplate(key_, type_, usage_, extent);
  if (change_) change_(attributes);
  return attributes;
}

Template PairTemplates::private_half(Extent extent) const {
  return PrivateTemplate(key_, type_, usage_, extent);
}

ImportTemplates::ImportTemplates(const NewKey& key, const crypto::PrivateKey& value, Usage usage)
    : key_(key), value_(value), usage_(usage) {
  encoded_point_.push_back(0x04);
  if (value.point.size() >= 128) encoded_point_.push_back(0x81);
  encoded_point_.push_back(static_cast<std::uint8_t>(value.point.size()));
  encoded_point_.insert(encoded_point_.end(), value.point.begin(), value.point.end());
}

Template ImportTemplates::public_half(Extent extent) const {
  Template attributes = PublicTemplate(key_, value_.type, usage_, extent);
  if (value_.type == KeyType::kRsa)
    attributes.Add(CKA_MODULUS, base::Bytes(value_.modulus))
        .Add(CKA_PUBLIC_EXPONENT, base::Bytes(value_.exponent));
  else
    attributes.Add(CKA_EC_PARAMS, crypto::CurveOid(value_.curve))
        .Add(CKA_EC_POINT, base::Bytes(encoded_point_));
  return attributes;
}

Template ImportTemplates::private_half(Extent extent) const {
  Template attributes = PrivateTemplate(key_, value_.type, usage_, extent);
  if (value_.type == KeyType::kRsa) {
    attributes.Add(CKA_MODULUS, base::Bytes(value_.modulus))
        .Add(CKA_PUBLIC_EXPONENT, base::Bytes(value_.exponent));
    attributes.AddSecret(CKA_PRIVATE_EXPONENT, value_.private_exponent.view())
        .AddSecret(CKA_PRIME_1, value_.prime_1.view())
        .AddSecret(CKA_PRIME_2, value_.prime_2.view())
        .AddSecret(CKA_EXPONENT_1, value_.exponent_1.view())
        .AddSecret(CKA_EXPONENT_2, value_.exponent_2.view())
        .AddSecret(CKA_COEFFICIENT, value_.coefficient.view());
  } else {
    attributes.Add(CKA_EC_PARAMS, crypto::CurveOid(value_.curve)).AddSecret(CKA_VALUE, value_.scalar.view());
  }
  return attributes;
}

}  // namespace trustpoint::hsm
