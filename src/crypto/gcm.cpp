#include "crypto/gcm.hpp"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>

#include "base/error.hpp"
#include "crypto/aad.hpp"
#include "crypto/openssl.hpp"

namespace trustpoint::crypto {
namespace {

constexpr std::size_t kMaxUpdate = std::size_t{1} << 29;  // EVP counts in int

const EVP_CIPHER* Aes256Gcm() {
  static const EVP_CIPHER* const cipher = FetchCipher("AES-256-GCM");
  return cipher;
}

EVP_CIPHER_CTX* NewContext(bool encrypt) {
  EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
  if (context != nullptr &&
      EVP_CipherInit_ex2(context, Aes256Gcm(), nullptr, nullptr, encrypt ? 1 : 0, nullptr) == 1)
    return context;
  EVP_CIPHER_CTX_free(context);
  ThrowOpenSsl("could not create an AES-256-GCM context");
}

void Require(bool condition, const char* what) {
  if (!condition) throw base::Error(base::ErrorCode::kInternal, what);
}

// A null output feeds additional data.
bool Update(EVP_CIPHER_CTX* context, std::uint8_t* out, base::Bytes in) {
  while (!in.empty()) {
    const std::size_t size = std::min(in.size(), kMaxUpdate);
    int written;
    if (EVP_CipherUpdate(context, out, &written, in.data(), static_cast<int>(size)) != 1) return false;
    if (out != nullptr) out += size;
    in = in.subspan(size);
  }
  return true;
}

bool UpdateAad(EVP_CIPHER_CTX* context, base::Bytes head, base::Bytes tail) {
  return TakeAad(head, tail, [&](base::Bytes part) { return Update(context, nullptr, part); });
}

// The tag as a parameter list: handing it over so costs less than EVP_CIPHER_CTX_ctrl, which builds one too.
class TagParameter {
 public:
  explicit TagParameter(std::uint8_t* tag)
      : list_{OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, kTagSize),
              OSSL_PARAM_construct_end()} {}
  OSSL_PARAM* list() { return list_; }

 private:
  OSSL_PARAM list_[2];
};

bool Finish(EVP_CIPHER_CTX* context) {
  std::uint8_t nothing[kTagSize];
  int written;
  return EVP_CipherFinal_ex(context, nothing, &written) == 1;
}

}  // namespace

GcmContext::~GcmContext() {
  EVP_CIPHER_CTX_free(context_);  // the provider cleanses the schedule
}

void GcmContext::SetKey(base::Bytes key) {
  Require(key.size() == kKeySize, "an AES-256-GCM key has 32 bytes");
  if (context_ == nullptr) context_ = NewContext(encrypt_);
  keyed_ = true;  // from here on Clear has something to do
  if (EVP_CipherInit_ex2(context_, nullptr, key.data(), nullptr, encrypt_ ? 1 : 0, nullptr) == 1) return;
  Clear();
  ThrowOpenSsl("could not set an AES-256-GCM key");
}

void GcmContext::Clear() noexcept {
  if (!keyed_) return;
  keyed_ = false;
  // A new key overwrites the round keys and resets the whole GCM state, hash key and table included.
  static constexpr std::uint8_t kZeros[kKeySize] = {};
  if (EVP_CipherInit_ex2(context_, nullptr, kZeros, kZeros, encrypt_ ? 1 : 0, nullptr) == 1) return;
  EVP_CIPHER_CTX_free(context_);
  context_ = nullptr;  // SetKey makes a new one
}

void GcmSealer::Seal(base::Bytes nonce, base::Bytes aad_head, base::Bytes aad_tail, base::Bytes plaintext,
                     base::MutableBytes ciphertext, base::MutableBytes tag) {
  Require(keyed_, "encryption without a key");
  Require(nonce.size() == kGcmNonceSize && tag.size() == kTagSize && ciphertext.size() == plaintext.size(),
          "encryption with a buffer of the wrong size");
  if (EVP_EncryptInit_ex2(context_, nullptr, nullptr, nonce.data(), nullptr) != 1 ||
      !UpdateAad(context_, aad_head, aad_tail) || !Update(context_, ciphertext.data(), plaintext) ||
      !Finish(context_) || EVP_CIPHER_CTX_get_params(context_, TagParameter(tag.data()).list()) != 1)
    ThrowOpenSsl("encryption failed");
}

bool GcmOpener::Open(base::Bytes nonce, base::Bytes aad_head, base::Bytes aad_tail, base::Bytes ciphertext,
                     base::Bytes tag, base::MutableBytes plaintext) {
  Require(keyed_, "decryption without a key");
  Require(nonce.size() == kGcmNonceSize && tag.size() == kTagSize && plaintext.size() == ciphertext.size(),
          "decryption with a buffer of the wrong size");
  // OpenSSL only reads the tag, though its parameter lists know no const.
  TagParameter expected(const_cast<std::uint8_t*>(tag.data()));
  const bool ready = EVP_DecryptInit_ex2(context_, nullptr, nullptr, nonce.data(), expected.list()) == 1 &&
                     UpdateAad(context_, aad_head, aad_tail) &&
                     Update(context_, plaintext.data(), ciphertext);
  if (ready && Finish(context_)) return true;
  base::Wipe(plaintext);
  if (!ready) ThrowOpenSsl("decryption failed");
  ERR_clear_error();
  return false;
}

}  // namespace trustpoint::crypto
