#include "crypto/kdf.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "crypto/openssl.hpp"

namespace trustpoint::crypto {
namespace {

char kSha256Name[] = "SHA2-256";
char kEmpty[1] = "";

using DigestContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;
using MacContext = Owned<EVP_MAC_CTX, EVP_MAC_CTX_free>;
using KdfContext = Owned<EVP_KDF_CTX, EVP_KDF_CTX_free>;

// Never holds a key. A copy of it costs less than a new context, which would look up its digest by name.
const EVP_MAC_CTX* HmacTemplate() {
  static const EVP_MAC_CTX* const context = [] {
    const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, kSha256Name, 0),
                                     OSSL_PARAM_construct_end()};
    const Owned<EVP_MAC, EVP_MAC_free> mac(EVP_MAC_fetch(Library(), "HMAC", nullptr));
    MacContext made(mac == nullptr ? nullptr : EVP_MAC_CTX_new(mac.get()));
    if (made == nullptr || EVP_MAC_CTX_set_params(made.get(), parameters) != 1)
      ThrowNotOffered("OpenSSL offers no HMAC-SHA-256");
    return made.release();
  }();
  return context;
}

EVP_KDF* Hkdf() {
  static EVP_KDF* const kdf = [] {
    EVP_KDF* fetched = EVP_KDF_fetch(Library(), "HKDF", nullptr);
    if (fetched == nullptr) ThrowNotOffered("OpenSSL offers no HKDF");
    return fetched;
  }();
  return kdf;
}

// OpenSSL reads parameters only, though its lists know no const; and it wants an address for no bytes too.
void* Address(base::Bytes bytes) {
  return bytes.empty() ? static_cast<void*>(kEmpty) : const_cast<std::uint8_t*>(bytes.data());
}

}  // namespace

EVP_MAC_CTX* NewHmacSha256() {
  EVP_MAC_CTX* context = EVP_MAC_CTX_dup(HmacTemplate());
  if (context == nullptr) ThrowOpenSsl("HMAC-SHA-256 failed");
  return context;
}

base::Block<kSha256Size> Sha256(Parts parts) {
  base::Block<kSha256Size> hash;
  const DigestContext context(EVP_MD_CTX_new());
  bool good =
      context != nullptr && EVP_DigestInit_ex2(context.get(), FetchedDigest(Hash::kSha256), nullptr) == 1;
  for (const base::Bytes part : parts)
    good = good && EVP_DigestUpdate(context.get(), Address(part), part.size()) == 1;
  if (!good || EVP_DigestFinal_ex(context.get(), hash.data(), nullptr) != 1) ThrowOpenSsl("SHA-256 failed");
  return hash;
}

base::Block<kSha256Size> HmacSha256(base::Bytes key, Parts parts) {
  base::Block<kSha256Size> code;
  const MacContext context(NewHmacSha256());
  bool good = EVP_MAC_init(context.get(), static_cast<std::uint8_t*>(Address(key)), key.size(), nullptr) == 1;
  for (const base::Bytes part : parts)
    good = good && EVP_MAC_update(context.get(), static_cast<std::uint8_t*>(Address(part)), part.size()) == 1;
  std::size_t written;
  if (!good || EVP_MAC_final(context.get(), code.data(), &written, code.size()) != 1)
    ThrowOpenSsl("HMAC-SHA-256 failed");
  return code;
}

void HkdfSha256(base::Bytes input_key, std::string_view info, base::MutableBytes out) {
  // Without a salt parameter OpenSSL takes the empty salt of RFC 5869: as many zeros as the hash is long.
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, kSha256Name, 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, Address(input_key), input_key.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, Address(base::AsBytes(info)), info.size()),
      OSSL_PARAM_construct_end()};
  const KdfContext context(EVP_KDF_CTX_new(Hkdf()));
  if (context != nullptr && EVP_KDF_derive(context.get(), out.data(), out.size(), parameters) == 1) return;
  base::Wipe(out);
  ThrowOpenSsl("HKDF-SHA-256 failed");
}

bool ConstantTimeEqual(base::Bytes left, base::Bytes right) noexcept {
  return left.size() == right.size() &&
         (left.empty() || CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0);
}

}  // namespace trustpoint::crypto
