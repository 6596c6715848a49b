#include "hsm/token_key.hpp"

#include <algorithm>
#include <iterator>

#include "base/error.hpp"
#include "hsm/guard.hpp"
#include "hsm/mechanism.hpp"
#include "pkcs11/object.hpp"

namespace trustpoint::hsm {
namespace {

using base::Error;
using base::ErrorCode;
using pkcs11::Session;
using pkcs11::Template;

std::string Named(const KeyRef& ref) { return "key \"" + std::string(ref.label) + "\""; }

// The keys that match. Certificates may share the label and the id, as many as there are.
struct Matches {
  std::vector<CK_OBJECT_HANDLE> secrets;  // private and secret keys
  std::vector<CK_OBJECT_HANDLE> publics;
};

Matches Search(Session& session, const KeyRef& ref) {
  Template search;
  if (ref.id.empty())
    search.Add(CKA_LABEL, ref.label);
  else
    search.Add(CKA_ID, ref.id);
  Matches matches;
  for (const CK_OBJECT_HANDLE handle : pkcs11::FindAll(session, search)) {
    switch (pkcs11::ReadUlong(session, handle, CKA_CLASS).value_or(CKO_DATA)) {
      case CKO_PRIVATE_KEY:
      case CKO_SECRET_KEY:
        matches.secrets.push_back(handle);
        break;
      case CKO_PUBLIC_KEY:
        matches.publics.push_back(handle);
        break;
      default:
        break;
    }
  }
  return matches;
}

std::vector<std::uint8_t> ReadOrEmpty(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  return pkcs11::ReadBytes(session, object, type).value_or(std::vector<std::uint8_t>());
}

// The public half of a private key that was found without it: a pair shares its id.
CK_OBJECT_HANDLE FindPublicHalf(Session& session, base::Bytes id, const KeyRef& ref) {
  if (id.empty()) return CK_INVALID_HANDLE;
  Template search;
  search.Add(CKA_CLASS, CK_ULONG{CKO_PUBLIC_KEY}).Add(CKA_ID, id);
  const auto found = pkcs11::Find(session, search, 2);
  if (found.size() > 1)
    throw Error(ErrorCode::kExists, "the token has more than one public half of the " + Named(ref));
  return found.empty() ? CK_INVALID_HANDLE : found[0];
}

[[noreturn]] void ThrowAmbiguous(const KeyRef& ref) {
  throw Error(ErrorCode::kExists, "the token has more than one " + Named(ref), {},
              "Labels need not be unique in a token: remove or rename the other one.");
}

// Which of the matches are the key.
void Choose(Session& session, const KeyRef& ref, const Matches& matches, TokenKey* key) {
  if (matches.secrets.size() > 1 || matches.publics.size() > 1) ThrowAmbiguous(ref);
  if (matches.secrets.empty() && matches.publics.empty())
    throw Error(ErrorCode::kNotFound, "the token has no " + Named(ref), {}, "tp_hsm_keys() lists the keys.");
  if (!matches.secrets.empty()) key->secret = matches.secrets[0];
  if (!matches.publics.empty()) key->public_object = matches.publics[0];
  const CK_OBJECT_HANDLE first = matches.secrets.empty() ? key->public_object : key->secret;
  key->id = ReadOrEmpty(session, first, CKA_ID);
  const auto label = ReadOrEmpty(session, first, CKA_LABEL);
  key->label.assign(label.begin(), label.end());
  RefuseKek(key->id, key->label);
  if (matches.secrets.empty()) return;
  if (matches.publics.empty())
    key->public_object = FindPublicHalf(session, key->id, ref);
  else if (ReadOrEmpty(session, key->public_object, CKA_ID) != key->id)
    ThrowAmbiguous(ref);  // two keys of one label, of one only the public half
}

void ReadRsa(Session& session, TokenKey* key) {
  for (const CK_OBJECT_HANDLE object : {key->public_object, key->secret}) {
    if (object == CK_INVALID_HANDLE) continue;
    const auto modulus = pkcs11::ReadBytes(session, object, CKA_MODULUS);
    const auto exponent = pkcs11::ReadBytes(session, object, CKA_PUBLIC_EXPONENT);
    if (!modulus || !exponent || modulus->empty() || exponent->empty()) continue;
    key->public_key_ = crypto::PublicKey::FromRsa(*modulus, *exponent);
    key->bits = key->public_key_->bits();
    return;
  }
  if (key->public_object != CK_INVALID_HANDLE)
    key->bits =
        static_cast<unsigned>(pkcs11::ReadUlong(session, key->public_object, CKA_MODULUS_BITS).value_or(0));
}

void ReadEc(Session& session, TokenKey* key, const KeyRef& ref) {
  const CK_OBJECT_HANDLE first = key->secret != CK_INVALID_HANDLE ? key->secret : key->public_object;
  auto parameters = ReadOrEmpty(session, first, CKA_EC_PARAMS);
  if (parameters.empty() && key->public_object != CK_INVALID_HANDLE)
    parameters = ReadOrEmpty(session, key->public_object, CKA_EC_PARAMS);
  const auto curve = crypto::CurveFromOid(parameters);
  if (!curve)
    throw Error(ErrorCode::kInvalidArgument, "the curve of the " + Named(ref) + " is not on the list", {},
                "Curves are P-256, P-384, P-521 and secp256k1.");
  key->curve = *curve;
  key->bits = crypto::CurveBits(*curve);
  for (const CK_OBJECT_HANDLE object : {key->public_object, key->secret}) {
    if (object == CK_INVALID_HANDLE) continue;
    const auto point = ReadOrEmpty(session, object, CKA_EC_POINT);
    if (point.empty()) continue;
    key->public_key_ = crypto::PublicKey::FromEc(*curve, point);
    return;
  }
}

void ReadAes(Session& session, TokenKey* key) {
  key->bits = static_cast<unsigned>(pkcs11::ReadUlong(session, key->secret, CKA_VALUE_LEN).value_or(0) * 8);
  key->mode = ModeOfMechanisms(ReadOrEmpty(session, key->secret, CKA_ALLOWED_MECHANISMS));
}

}  // namespace

std::optional<Usage> UsageFromName(std::string_view name) noexcept {
  for (const Usage usage : {Usage::kSign, Usage::kDecrypt})
    if (name == UsageName(usage)) return usage;
  return std::nullopt;
}

const char* UsageName(Usage usage) noexcept { return usage == Usage::kSign ? "sign" : "decrypt"; }

const crypto::PublicKey& TokenKey::RequirePublic() const {
  if (public_key_) return *public_key_;
  if (type == crypto::KeyType::kAes)
    throw Error(ErrorCode::kInvalidArgument, "an AES key has no public key", {}, "Use an RSA or EC key.");
  throw Error(ErrorCode::kNotFound, "the token shows no public half of the key \"" + label + "\"");
}

void TokenKey::RequirePrivate() const {
  if (secret == CK_INVALID_HANDLE)
    throw Error(ErrorCode::kInvalidArgument,
                "the token holds only the public half of the key \"" + label + "\"");
  if (pin_each_time)
    throw Error(ErrorCode::kInvalidArgument, "the key \"" + label + "\" wants the PIN at each use",
                "It has CKA_ALWAYS_AUTHENTICATE, and a session logs in once.", "Use another key.");
}

TokenKey FindKey(Session& session, const KeyRef& ref) {
  RefuseKek(ref.id, ref.label);
  TokenKey key;
  Choose(session, ref, Search(session, ref), &key);
  const bool has_secret = key.secret != CK_INVALID_HANDLE;
  const auto type = pkcs11::ReadUlong(session, has_secret ? key.secret : key.public_object, CKA_KEY_TYPE);
  if (type == CKK_RSA) {
    ReadRsa(session, &key);
  } else if (type == CKK_EC) {
    key.type = crypto::KeyType::kEc;
    ReadEc(session, &key, ref);
  } else if (type == CKK_AES && has_secret) {
    key.type = crypto::KeyType::kAes;
    ReadAes(session, &key);
  } else {
    throw Error(ErrorCode::kInvalidArgument, "the " + Named(ref) + " is neither RSA nor EC nor AES");
  }
  if (!has_secret) return key;
  // Where the token does not say, the operation itself will.
  key.can_sign = pkcs11::ReadBool(session, key.secret, CKA_SIGN).value_or(true);
  key.can_decrypt = pkcs11::ReadBool(session, key.secret, CKA_DECRYPT).value_or(true);
  key.pin_each_time = pkcs11::ReadBool(session, key.secret, CKA_ALWAYS_AUTHENTICATE).value_or(false);
  return key;
}

}  // namespace trustpoint::hsm
