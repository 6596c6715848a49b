#include "crypto/xaes.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/error.hpp"
#include "crypto/gcm.hpp"
#include "crypto/openssl.hpp"

namespace trustpoint::crypto {
namespace {

constexpr std::size_t kBlockSize = 16;

constexpr std::uint8_t kZeros[kKeySize] = {};

using MacContext = Owned<EVP_MAC_CTX, EVP_MAC_CTX_free>;

// Keyed with zeros, as an unkeyed one cannot be copied. A copy of it costs less than a new context, which
// would look up its cipher by name.
const EVP_MAC_CTX* CmacTemplate() {
  static const EVP_MAC_CTX* const context = [] {
    static char cipher[] = "AES-256-CBC";  // what CMAC builds on
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher, 0),
                                     OSSL_PARAM_construct_end()};
    const Owned<EVP_MAC, EVP_MAC_free> mac(EVP_MAC_fetch(Library(), "CMAC", nullptr));
    MacContext made(mac == nullptr ? nullptr : EVP_MAC_CTX_new(mac.get()));
    if (made == nullptr || EVP_MAC_init(made.get(), kZeros, sizeof kZeros, parameters) != 1)
      ThrowNotOffered("OpenSSL offers no CMAC");
    return made.release();
  }();
  return context;
}

EVP_MAC_CTX* NewContext() {
  if (EVP_MAC_CTX* context = EVP_MAC_CTX_dup(CmacTemplate())) return context;
  ThrowOpenSsl("could not create a CMAC context");
}

// One half of the derived key: the CMAC of 00 counter 'X' 00 prefix, a counter-mode KDF's only block.
bool DeriveHalf(EVP_MAC_CTX* context, std::uint8_t counter, base::Bytes prefix, std::uint8_t* half) {
  std::uint8_t message[kBlockSize] = {0, counter, 'X', 0};
  base::Copy({message + 4, kXaesPrefixSize}, prefix);
  std::size_t written;
  return EVP_MAC_init(context, nullptr, 0, nullptr) == 1 &&
         EVP_MAC_update(context, message, sizeof message) == 1 &&
         EVP_MAC_final(context, half, &written, kBlockSize) == 1;
}

}  // namespace

XaesDeriver::~XaesDeriver() {
  EVP_MAC_CTX_free(context_);  // OpenSSL cleanses the round keys, the subkeys and the chaining block
}

void XaesDeriver::SetKey(base::Bytes key) {
  if (key.size() != kKeySize)
    throw base::Error(base::ErrorCode::kInternal, "an XAES-256-GCM key has 32 bytes");
  if (context_ == nullptr) context_ = NewContext();
  keyed_ = true;  // from here on Clear has something to do
  if (EVP_MAC_init(context_, key.data(), key.size(), nullptr) == 1) return;
  Clear();
  ThrowOpenSsl("could not set an XAES-256-GCM key");
}

void XaesDeriver::Derive(base::Bytes prefix, base::MutableBytes derived) {
  if (!keyed_) throw base::Error(base::ErrorCode::kInternal, "key derivation without a key");
  if (prefix.size() != kXaesPrefixSize || derived.size() != kKeySize)
    throw base::Error(base::ErrorCode::kInternal, "key derivation with a buffer of the wrong size");
  if (DeriveHalf(context_, 1, prefix, derived.data()) &&
      DeriveHalf(context_, 2, prefix, derived.data() + kBlockSize))
    return;
  base::Wipe(derived);
  ThrowOpenSsl("key derivation failed");
}

void XaesDeriver::Clear() noexcept {
  if (!keyed_) return;
  keyed_ = false;
  // Overwrites the round keys, both subkeys, and the chaining block, which is a half of the last derived key.
  if (EVP_MAC_init(context_, kZeros, sizeof kZeros, nullptr) == 1) return;
  EVP_MAC_CTX_free(context_);
  context_ = nullptr;  // SetKey makes a new one
}

}  // namespace trustpoint::crypto
