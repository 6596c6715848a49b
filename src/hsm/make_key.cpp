#include "hsm/make_key.hpp"

#include <string>

#include "base/error.hpp"
#include "hsm/change_key.hpp"
#include "hsm/guard.hpp"
#include "hsm/key_template.hpp"
#include "hsm/mechanism.hpp"
#include "pkcs11/object.hpp"
#include "pkcs11/one_shot.hpp"

namespace trustpoint::hsm {
namespace {

using base::Error;
using base::ErrorCode;
using crypto::KeyType;
using pkcs11::Session;
using pkcs11::Template;

constexpr std::uint8_t kExponent[] = {0x01, 0x00, 0x01};

void CheckNew(Session& session, const NewKey& key) {
  CheckNewLabel(key.label);
  RefuseKek(key.id, {});
  if (key.id.size() != kKeyIdSize) throw Error(ErrorCode::kInternal, "a new key with an odd id");
  RequireFreeLabel(session, key.label);
  Template search;
  search.Add(CKA_ID, key.id);
  if (!pkcs11::Find(session, search, 1).empty())
    throw Error(ErrorCode::kExists, "the token has an object with the id of the new key already");
}

// Runs make(), which leaves objects with the key's id, then checks the key. Whatever fails: none of it stays.
template <class Make>
TokenKey MakeChecked(Session& session, const NewKey& key, const Wanted& wanted, Make make) {
  session.MarkSent();
  try {
    make();
    TokenKey made = FindKey(session, {key.label, key.id});
    CheckMade(session, made, key.label, wanted);
    TryMade(session, made, wanted);
    made.mode = wanted.mode;  // also where the token does not keep it
    return made;
  } catch (...) {
    DestroyQuietly(session, key.id);
    throw;
  }
}

// Whether the module takes offence at the attributes, of which it may know fewer.
bool RefusesTemplate(CK_RV rv) {
  // The last is what NSS's database says of an attribute that it does not know.
  return rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_VALUE_INVALID ||
         rv == CKR_ATTRIBUTE_READ_ONLY || rv == CKR_TEMPLATE_INCONSISTENT || rv == CKR_GENERAL_ERROR;
}

// Whether so many objects have the id of the new key.
bool IsMade(Session& session, const NewKey& key, std::size_t objects) {
  Template search;
  search.Add(CKA_ID, key.id);
  return pkcs11::Find(session, search, objects + 1).size() == objects;
}

// Runs call(extent) with less and less in the template, until the module takes it: then so many objects have
// the id of the key. A vague fault may have come after they were made.
template <class Call>
void Attempt(Session& session, const NewKey& key, std::size_t objects, const char* function,
             const pkcs11::NamedMechanism& mechanism, Call call) {
  for (const Extent extent : {Extent::kFull, Extent::kCommon, Extent::kBare}) {
    const CK_RV rv = call(extent);
    if (extent == Extent::kBare || !RefusesTemplate(rv))
      return pkcs11::CheckInit(session, rv, function, mechanism);
    if (IsMade(session, key, objects)) return;
  }
}

void GeneratePair(Session& session, const NewKey& key, const pkcs11::NamedMechanism& mechanism,
                  const PairTemplates& pair) {
  Attempt(session, key, 2, "C_GenerateKeyPair", mechanism, [&](Extent extent) {
    Template public_half = pair.public_half(extent), private_half = pair.private_half(extent);
    CK_MECHANISM copy = mechanism.mechanism;
    CK_OBJECT_HANDLE handles[2];
    return session.api()->C_GenerateKeyPair(session.handle(), &copy, public_half.data(), public_half.size(),
                                            private_half.data(), private_half.size(), &handles[0],
                                            &handles[1]);
  });
}

// The nth object of the key.
template <class Object>
void Create(Session& session, const NewKey& key, std::size_t nth, std::string_view what, Object object) {
  Attempt(session, key, nth, "C_CreateObject", {{}, what}, [&](Extent extent) {
    Template attributes = object(extent);
    CK_OBJECT_HANDLE handle;
    return session.api()->C_CreateObject(session.handle(), attributes.data(), attributes.size(), &handle);
  });
}

}  // namespace

void CheckRsaBits(unsigned bits) {
  if (bits == 2048 || bits == 3072 || bits == 4096) return;
  throw Error(ErrorCode::kInvalidArgument, "an RSA key has 2048, 3072 or 4096 bits");
}

void CheckAesBits(unsigned bits) {
  if (bits == 128 || bits == 192 || bits == 256) return;
  throw Error(ErrorCode::kInvalidArgument, "an AES key has 128, 192 or 256 bits");
}

TokenKey MakeRsaKey(Session& session, const NewKey& key, unsigned bits, Usage usage) {
  CheckRsaBits(bits);
  CheckNew(session, key);
  RequireMechanismFor(session, CKM_RSA_PKCS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR, bits);
  RequireUse(session, KeyType::kRsa, usage);
  const Wanted wanted{KeyType::kRsa, bits, {}, usage, {}};
  return MakeChecked(session, key, wanted, [&] {
    PairTemplates pair(key, KeyType::kRsa, usage);
    pair.AddToPublic([&](Template& half) {
      half.Add(CKA_MODULUS_BITS, CK_ULONG{bits}).Add(CKA_PUBLIC_EXPONENT, base::Bytes(kExponent));
    });
    GeneratePair(session, key, {{CKM_RSA_PKCS_KEY_PAIR_GEN, nullptr, 0}}, pair);
  });
}

TokenKey MakeEcKey(Session& session, const NewKey& key, crypto::Curve curve) {
  CheckNew(session, key);
  RequireMechanismFor(session, CKM_EC_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR, crypto::CurveBits(curve));
  RequireUse(session, KeyType::kEc, Usage::kSign);
  const Wanted wanted{KeyType::kEc, crypto::CurveBits(curve), curve, Usage::kSign, {}};
  const std::string name = std::string("CKM_ECDSA_KEY_PAIR_GEN on ") + crypto::CurveName(curve);
  return MakeChecked(session, key, wanted, [&] {
    PairTemplates pair(key, KeyType::kEc, Usage::kSign);
    pair.AddToPublic([&](Template& half) { half.Add(CKA_EC_PARAMS, crypto::CurveOid(curve)); });
    GeneratePair(session, key, {{CKM_EC_KEY_PAIR_GEN, nullptr, 0}, name}, pair);
  });
}

TokenKey MakeAesKey(Session& session, const NewKey& key, unsigned bits, AesMode mode) {
  CheckAesBits(bits);
  CheckNew(session, key);
  pkcs11::RequireMechanism(session, CKM_AES_KEY_GEN, CKF_GENERATE);
  pkcs11::RequireMechanism(session, MechanismOf(mode), CKF_ENCRYPT | CKF_DECRYPT);
  const Wanted wanted{KeyType::kAes, bits, {}, Usage::kDecrypt, mode};
  return MakeChecked(session, key, wanted, [&] {
    const pkcs11::NamedMechanism mechanism = {{CKM_AES_KEY_GEN, nullptr, 0}};
    Attempt(session, key, 1, "C_GenerateKey", mechanism, [&](Extent extent) {
      Template attributes = AesTemplate(key, mode, extent);
      attributes.Add(CKA_VALUE_LEN, CK_ULONG{bits / 8});
      CK_MECHANISM copy = mechanism.mechanism;
      CK_OBJECT_HANDLE handle;
      return session.api()->C_GenerateKey(session.handle(), &copy, attributes.data(), attributes.size(),
                                          &handle);
    });
  });
}

TokenKey ImportKey(Session& session, const NewKey& key, const crypto::PrivateKey& value, Usage usage) {
  if (value.type == KeyType::kEc && usage != Usage::kSign)
    throw Error(ErrorCode::kInvalidArgument, "an EC key signs and does nothing else", {},
                "Use usage 'sign'.");
  CheckNew(session, key);
  RequireUse(session, value.type, usage);
  const Wanted wanted{value.type, value.bits, value.curve, usage, {}};
  const std::string what = value.type == KeyType::kRsa
                               ? "C_CreateObject of RSA keys"
                               : std::string("CKM_ECDSA on ") + crypto::CurveName(value.curve);
  return MakeChecked(session, key, wanted, [&] {
    const ImportTemplates import(key, value, usage);
    Create(session, key, 1, what, [&](Extent extent) { return import.private_half(extent); });
    Create(session, key, 2, what, [&](Extent extent) { return import.public_half(extent); });
  });
}

}  // namespace trustpoint::hsm
