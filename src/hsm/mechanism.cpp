#include "hsm/mechanism.hpp"

#include <cstring>
#include <iterator>

#include "base/error.hpp"
#include "pkcs11/mechanism_names.hpp"
#include "pkcs11/one_shot.hpp"
#include "pkcs11/rv.hpp"
#include "pkcs11/token.hpp"

namespace trustpoint::hsm {
namespace {

struct HashFacts {
  CK_MECHANISM_TYPE digest;
  CK_RSA_PKCS_MGF_TYPE mask;
  const char* name;
};

constexpr HashFacts kHashes[] = {
    {CKM_SHA_1, CKG_MGF1_SHA1, "SHA-1"},      {CKM_SHA224, CKG_MGF1_SHA224, "SHA-224"},
    {CKM_SHA256, CKG_MGF1_SHA256, "SHA-256"}, {CKM_SHA384, CKG_MGF1_SHA384, "SHA-384"},
    {CKM_SHA512, CKG_MGF1_SHA512, "SHA-512"},
};

struct ModeFacts {
  const char* name;
  CK_MECHANISM_TYPE mechanism;
};

constexpr ModeFacts kModes[] = {{"gcm", CKM_AES_GCM}, {"cbc-pad", CKM_AES_CBC_PAD}, {"ecb", CKM_AES_ECB}};

}  // namespace

std::optional<AesMode> AesModeFromName(std::string_view name) noexcept {
  for (std::size_t i = 0; i < std::size(kModes); ++i)
    if (name == kModes[i].name) return static_cast<AesMode>(i);
  return std::nullopt;
}

const char* AesModeName(AesMode mode) noexcept { return kModes[static_cast<std::size_t>(mode)].name; }

CK_MECHANISM_TYPE MechanismOf(AesMode mode) noexcept {
  return kModes[static_cast<std::size_t>(mode)].mechanism;
}

CK_MECHANISM_TYPE MechanismOf(crypto::Hash hash) noexcept {
  return kHashes[static_cast<std::size_t>(hash)].digest;
}

CK_RSA_PKCS_MGF_TYPE MaskOf(crypto::Hash hash) noexcept {
  return kHashes[static_cast<std::size_t>(hash)].mask;
}

std::string UpperName(crypto::Hash hash) { return kHashes[static_cast<std::size_t>(hash)].name; }

std::optional<AesMode> ModeOfMechanisms(base::Bytes value) noexcept {
  CK_MECHANISM_TYPE type;
  if (value.size() != sizeof type) return std::nullopt;
  std::memcpy(&type, value.data(), sizeof type);
  for (std::size_t i = 0; i < std::size(kModes); ++i)
    if (type == kModes[i].mechanism) return static_cast<AesMode>(i);
  return std::nullopt;
}

void RequireMechanismFor(pkcs11::Session& session, CK_MECHANISM_TYPE type, CK_FLAGS needed, unsigned bits) {
  pkcs11::RequireMechanism(session, type, needed);
  CK_MECHANISM_INFO info = {};
  pkcs11::Check(session.api()->C_GetMechanismInfo(session.slot(), type, &info), "C_GetMechanismInfo");
  if (info.ulMaxKeySize == 0 || (bits >= info.ulMinKeySize && bits <= info.ulMaxKeySize)) return;
  throw base::Error(
      base::ErrorCode::kTokenRefused,
      "the token's " + pkcs11::MechanismName(type) + " makes no keys of " + std::to_string(bits) + " bits",
      "It makes " + std::to_string(info.ulMinKeySize) + " to " + std::to_string(info.ulMaxKeySize) + ".");
}

void RequireUse(pkcs11::Session& session, crypto::KeyType type, Usage usage) {
  const auto has = [&](CK_MECHANISM_TYPE mechanism, CK_FLAGS needed) {
    return pkcs11::HasMechanism(session.module(), session.slot(), mechanism, needed);
  };
  if (type == crypto::KeyType::kEc) {
    pkcs11::RequireMechanism(session, CKM_ECDSA, CKF_SIGN);
  } else if (usage == Usage::kSign) {
    if (!has(CKM_RSA_PKCS_PSS, CKF_SIGN)) pkcs11::RequireMechanism(session, CKM_RSA_PKCS, CKF_SIGN);
  } else if (!has(CKM_RSA_PKCS_OAEP, CKF_DECRYPT)) {
    if (!has(CKM_RSA_X_509, CKF_DECRYPT)) pkcs11::RequireMechanism(session, CKM_RSA_PKCS, CKF_DECRYPT);
  }
}

}  // namespace trustpoint::hsm
