#include "crypto/hmac.hpp"

#include <openssl/evp.h>

#include "base/error.hpp"
#include "crypto/openssl.hpp"

namespace trustpoint::crypto {

HmacSha256Key::~HmacSha256Key() {
  EVP_MAC_CTX_free(context_);  // the provider cleanses the key and both hash states
}

void HmacSha256Key::SetKey(base::Bytes key) {
  if (key.size() != kSha256Size)
    throw base::Error(base::ErrorCode::kInternal, "a key of HMAC-SHA-256 has 32 bytes here");
  if (context_ == nullptr) context_ = NewHmacSha256();
  keyed_ = true;  // from here on Clear has something to do
  if (EVP_MAC_init(context_, key.data(), key.size(), nullptr) == 1) return;
  Clear();
  ThrowOpenSsl("could not set a key of HMAC-SHA-256");
}

base::Block<kSha256Size> HmacSha256Key::Code(Parts parts) {
  if (!keyed_) throw base::Error(base::ErrorCode::kInternal, "HMAC-SHA-256 without a key");
  base::Block<kSha256Size> code;
  bool good = EVP_MAC_init(context_, nullptr, 0, nullptr) == 1;
  for (const base::Bytes part : parts)
    good = good && (part.empty() || EVP_MAC_update(context_, part.data(), part.size()) == 1);
  std::size_t written;
  if (!good || EVP_MAC_final(context_, code.data(), &written, code.size()) != 1)
    ThrowOpenSsl("HMAC-SHA-256 failed");
  return code;
}

void HmacSha256Key::Clear() noexcept {
  if (!keyed_) return;
  keyed_ = false;
  // Overwrites the key and the states of both hashes.
  static constexpr std::uint8_t kZeros[kSha256Size] = {};
  if (EVP_MAC_init(context_, kZeros, sizeof kZeros, nullptr) == 1) return;
  EVP_MAC_CTX_free(context_);
  context_ = nullptr;  // SetKey makes a new one
}

}  // namespace trustpoint::crypto
