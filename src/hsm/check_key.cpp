// What was made is not believed: it is read back, and used once.
#include <algorithm>
#include <string>

#include "base/error.hpp"
#include "crypto/random.hpp"
#include "hsm/aes.hpp"
#include "hsm/guard.hpp"
#include "hsm/key_template.hpp"
#include "hsm/rsa_decrypt.hpp"
#include "hsm/sign.hpp"
#include "pkcs11/object.hpp"
#include "pkcs11/token.hpp"

namespace trustpoint::hsm {
namespace {

using base::Error;
using base::ErrorCode;
using crypto::KeyType;
using pkcs11::Session;

struct Demand {
  CK_ATTRIBUTE_TYPE type;
  const char* name;
  bool value;
  bool vital = false;  // unknown is as bad as wrong
};

void Append(std::string* list, const std::string& entry) {
  if (!list->empty()) *list += ", ";
  *list += entry;
}

void Demands(Session& session, CK_OBJECT_HANDLE object, std::initializer_list<Demand> demands,
             std::string* weak) {
  for (const Demand& demand : demands) {
    const auto value = pkcs11::ReadBool(session, object, demand.type);
    if (value ? *value != demand.value : demand.vital)
      Append(weak, std::string(demand.name) + (!value   ? " cannot be read"
                                               : *value ? " is true"
                                                        : " is false"));
  }
}

[[noreturn]] void ThrowUseless(const char* how) {
  throw Error(ErrorCode::kTokenRefused, "the token made a key that does not work; it was destroyed", how);
}

void TrySigning(Session& session, const TokenKey& key) {
  crypto::SignatureAlgorithm algorithm = crypto::DefaultAlgorithm(key.type, key.curve);
  if (key.type == KeyType::kRsa &&
      !pkcs11::HasMechanism(session.module(), session.slot(), CKM_RSA_PKCS_PSS, CKF_SIGN))
    algorithm.scheme = crypto::Scheme::kRsaPkcs1;
  base::Block<32> message;
  crypto::Random(message);
  const crypto::Digest digest = crypto::HashOf(algorithm.hash, message);
  std::vector<std::uint8_t> signature(kMaxSignatureSize);
  signature.resize(Sign(session, key, algorithm, digest, signature));
  if (!key.RequirePublic().Verify(algorithm, digest, signature))
    ThrowUseless("Its signature does not verify with its public half.");
}

void TryDecrypting(Session& session, const TokenKey& key) {
  crypto::RsaPadding padding = crypto::RsaPadding::kOaepSha1;
  for (const CK_MECHANISM_TYPE type : {CKM_RSA_PKCS_OAEP, CKM_RSA_X_509}) {
    if (pkcs11::HasMechanism(session.module(), session.slot(), type, CKF_DECRYPT)) break;
    if (type == CKM_RSA_X_509) padding = crypto::RsaPadding::kPkcs1;
  }
  base::Block<32> message;
  crypto::Random(message);
  const auto ciphertext = key.RequirePublic().Encrypt(padding, message);
  std::vector<std::uint8_t> out(kMaxRsaBlockSize);
  out.resize(RsaDecrypt(session, key, padding, ciphertext, out));
  if (!std::ranges::equal(out, message)) ThrowUseless("It does not decrypt what its public half encrypts.");
}

void TryAes(Session& session, const TokenKey& key, AesMode mode) {
  base::Block<32> message;
  crypto::Random(message);
  std::vector<std::uint8_t> value(AesEncryptRoom(mode, message.size()));
  value.resize(AesEncrypt(session, key, mode, key.label, message, value));
  std::vector<std::uint8_t> out(AesDecryptRoom(mode, value.size()));
  out.resize(AesDecrypt(session, key, mode, key.label, value, out));
  if (!std::ranges::equal(out, message)) ThrowUseless("It does not decrypt what it encrypts.");
}

}  // namespace

void CheckMade(Session& session, const TokenKey& key, std::string_view label, const Wanted& wanted) {
  std::string weak;
  if (key.secret == CK_INVALID_HANDLE) Append(&weak, "there is no private half");
  if (key.type != wanted.type) Append(&weak, "it is of another type");
  if (key.bits != wanted.bits) Append(&weak, "it has " + std::to_string(key.bits) + " bits");
  if (wanted.type == KeyType::kEc && key.curve != wanted.curve) Append(&weak, "it is on another curve");
  if (wanted.type != KeyType::kAes && key.public_key() == nullptr) Append(&weak, "there is no public half");
  if (wanted.mode && key.mode && *key.mode != *wanted.mode) Append(&weak, "it is for another mode");
  if (key.label != label) Append(&weak, "it has another label");
  if (key.secret != CK_INVALID_HANDLE) {
    const bool aes = wanted.type == KeyType::kAes;
    const bool signs = !aes && wanted.usage == Usage::kSign;
    Demands(session, key.secret,
            {{CKA_TOKEN, "CKA_TOKEN", true},
             {CKA_PRIVATE, "CKA_PRIVATE", true},
             {CKA_SENSITIVE, "CKA_SENSITIVE", true, true},
             {CKA_EXTRACTABLE, "CKA_EXTRACTABLE", false, true},
             {CKA_SIGN, "CKA_SIGN", signs},
             {CKA_DERIVE, "CKA_DERIVE", false}},
            &weak);
    if (wanted.type != KeyType::kEc)  // which can do neither, whatever the flags say
      Demands(session, key.secret,
              {{CKA_DECRYPT, "CKA_DECRYPT", !signs},
               {CKA_WRAP, "CKA_WRAP", false},
               {CKA_UNWRAP, "CKA_UNWRAP", false}},
              &weak);
  }
  if (weak.empty()) return;
  throw Error(ErrorCode::kTokenRefused, "the token made a weaker key than it was asked for; it was destroyed",
              weak);
}

void TryMade(Session& session, const TokenKey& key, const Wanted& wanted) {
  try {
    if (wanted.type == KeyType::kAes)
      TryAes(session, key, *wanted.mode);
    else if (wanted.usage == Usage::kSign)
      TrySigning(session, key);
    else
      TryDecrypting(session, key);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kAuthenticationFailed) ThrowUseless("It does not decrypt.");
    throw;
  }
}

void DestroyQuietly(Session& session, base::Bytes id) noexcept {
  try {
    if (IsKekId(id)) return;
    Session own(session.module(), session.slot());  // the other may be stuck in what failed
    pkcs11::Template search;
    search.Add(CKA_ID, id);
    for (const CK_OBJECT_HANDLE object : pkcs11::FindAll(own, search))
      own.api()->C_DestroyObject(own.handle(), object);
  } catch (const std::exception&) {
    // The caller has written the id down, and sweeps up what is left.
  }
}

}  // namespace trustpoint::hsm
