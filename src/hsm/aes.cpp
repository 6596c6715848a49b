#include "hsm/aes.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"
#include "crypto/random.hpp"
#include "hsm/mechanism.hpp"
#include "pkcs11/one_shot.hpp"

namespace trustpoint::hsm {
namespace {

using base::Error;
using base::ErrorCode;
using pkcs11::Session;

constexpr std::size_t kBlock = 16;
constexpr std::size_t kGcmIv = 12;
constexpr std::size_t kGcmTag = 16;
constexpr std::size_t kMost = (std::size_t{1} << 30) - 64;  // what a bytea holds, less what a mode adds
constexpr std::string_view kAadPrefix = "tpaes1";

[[noreturn]] void ThrowNotDecrypted() {
  throw Error(ErrorCode::kAuthenticationFailed, "decryption failed: wrong key or changed bytes");
}

void CheckSize(std::size_t size) {
  if (size > kMost) throw Error(ErrorCode::kTooLarge, "the data is too large for one AES operation");
}

std::size_t IvSize(AesMode mode) {
  switch (mode) {
    case AesMode::kGcm:
      return kGcmIv;
    case AesMode::kCbcPad:
      return kBlock;
    case AesMode::kEcb:
      break;
  }
  return 0;
}

// A mechanism with what its parameters point to.
class Mechanism {
 public:
  // iv: of the mode's size; a token that makes its own writes it there.
  Mechanism(AesMode mode, base::MutableBytes iv, std::string_view bound_label) : aad_(kAadPrefix) {
    aad_ += bound_label;
    auto* const aad = reinterpret_cast<CK_BYTE*>(aad_.data());
    gcm_ = {iv.data(), iv.size(), iv.size() * 8, aad, aad_.size(), kGcmTag * 8};
    mechanism_ = {MechanismOf(mode), nullptr, 0};
    if (mode == AesMode::kGcm)
      mechanism_ = {MechanismOf(mode), &gcm_, sizeof gcm_};
    else if (mode == AesMode::kCbcPad)
      mechanism_ = {MechanismOf(mode), iv.data(), iv.size()};
  }
  Mechanism(const Mechanism&) = delete;
  Mechanism& operator=(const Mechanism&) = delete;

  pkcs11::NamedMechanism named() const { return {mechanism_}; }

 private:
  std::string aad_;
  CK_GCM_PARAMS gcm_;
  CK_MECHANISM mechanism_;
};

void CheckUse(Session& session, const TokenKey& key, AesMode mode, CK_FLAGS needed) {
  if (key.type != crypto::KeyType::kAes)
    throw Error(ErrorCode::kInvalidArgument, "the key \"" + key.label + "\" is no AES key");
  pkcs11::RequireMechanism(session, MechanismOf(mode), needed);
}

// What cannot be the output of the mode is not sent to the token.
bool IsPossible(AesMode mode, std::size_t size) {
  switch (mode) {
    case AesMode::kGcm:
      return size >= kGcmIv + kGcmTag;
    case AesMode::kCbcPad:
      return size >= 2 * kBlock && size % kBlock == 0;
    case AesMode::kEcb:
      break;
  }
  return size % kBlock == 0;
}

}  // namespace

std::size_t AesEncryptRoom(AesMode mode, std::size_t size) {
  CheckSize(size);
  switch (mode) {
    case AesMode::kGcm:
      return kGcmIv + size + kGcmTag;
    case AesMode::kCbcPad:
      return kBlock + size / kBlock * kBlock + kBlock;
    case AesMode::kEcb:
      break;
  }
  return size;
}

std::size_t AesDecryptRoom(AesMode mode, std::size_t size) {
  CheckSize(size);
  // More than the plaintext: SoftHSM wants room for the tag and the padding too.
  return size + (mode == AesMode::kEcb ? 0 : kBlock);
}

AesMode ChooseMode(const TokenKey& key, std::optional<AesMode> recorded) {
  if (key.type != crypto::KeyType::kAes)
    throw Error(ErrorCode::kInvalidArgument, "the key \"" + key.label + "\" is no AES key", {},
                "Use a key that was made by tp_generate_aes_key.");
  if (key.mode && recorded && *key.mode != *recorded)
    throw Error(ErrorCode::kInvalidArgument,
                "the key \"" + key.label + "\" is for another mode in the token than it was made for");
  if (!key.mode && !recorded)
    throw Error(ErrorCode::kInvalidArgument,
                "nothing says in which mode the AES key \"" + key.label + "\" serves", {},
                "Use a key that was made by tp_generate_aes_key.");
  return key.mode ? *key.mode : *recorded;
}

std::size_t AesEncrypt(Session& session, const TokenKey& key, AesMode mode, std::string_view bound_label,
                       base::Bytes data, base::MutableBytes out) {
  if (out.size() < AesEncryptRoom(mode, data.size()))
    throw Error(ErrorCode::kInternal, "no room for an AES ciphertext");
  if (mode == AesMode::kEcb && data.size() % kBlock != 0)
    throw Error(ErrorCode::kInvalidArgument, "ECB encrypts whole blocks of 16 bytes alone");
  CheckUse(session, key, mode, CKF_ENCRYPT);
  if (mode == AesMode::kEcb && data.empty()) return 0;
  const base::MutableBytes iv = out.first(IvSize(mode));
  crypto::Random(iv);
  const Mechanism mechanism(mode, iv, bound_label);
  return iv.size() +
         pkcs11::EncryptOnce(session, mechanism.named(), key.secret, data, out.subspan(iv.size()));
}

std::size_t AesDecrypt(Session& session, const TokenKey& key, AesMode mode, std::string_view bound_label,
                       base::Bytes value, base::MutableBytes out) {
  if (out.size() < AesDecryptRoom(mode, value.size()))
    throw Error(ErrorCode::kInternal, "no room for an AES plaintext");
  CheckUse(session, key, mode, CKF_DECRYPT);
  if (!IsPossible(mode, value.size())) ThrowNotDecrypted();
  if (value.empty()) return 0;
  base::Block<kBlock> iv_copy{};
  const base::MutableBytes iv = base::MutableBytes(iv_copy).first(IvSize(mode));
  base::Copy(iv, value.first(iv.size()));
  const Mechanism mechanism(mode, iv, bound_label);
  const auto size =
      pkcs11::DecryptOnce(session, mechanism.named(), key.secret, value.subspan(iv.size()), out);
  if (!size) ThrowNotDecrypted();
  return *size;
}

}  // namespace trustpoint::hsm
