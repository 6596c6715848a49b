#include "crypto/pem_encryption.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "crypto/openssl.hpp"
#include "crypto/password_cost.hpp"

namespace trustpoint::crypto {
namespace {

// The encryption of PKCS#1 and SEC 1, by the header. The key is one MD5 of the passphrase, whatever it says.
// Not by PEM_do_header, which is OpenSSL's default library's: a module of the token may live in that too, and
// a first use without memory would leave it without ciphers.
bool DecryptByHeader(PemBlock* block, base::Bytes passphrase) {
  EVP_CIPHER_INFO given;
  if (PEM_get_EVP_CIPHER_INFO(block->header.data(), &given) != 1 || given.cipher == nullptr) return false;
  const base::MutableBytes der = block->der.bytes();
  base::Secret key(EVP_MAX_KEY_LENGTH);
  bool good = false;
  int size = 0, rest = 0;
  InNewLibraryToo([&](OSSL_LIB_CTX* library) {
    const Owned<EVP_CIPHER, EVP_CIPHER_free> cipher(
        EVP_CIPHER_fetch(library, EVP_CIPHER_get0_name(given.cipher), nullptr));
    const Owned<EVP_MD, EVP_MD_free> hash(EVP_MD_fetch(library, "MD5", nullptr));
    const Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free> context(EVP_CIPHER_CTX_new());
    if (cipher == nullptr || hash == nullptr || context == nullptr ||
        EVP_BytesToKey(cipher.get(), hash.get(), given.iv, passphrase.data(),
                       static_cast<int>(passphrase.size()), 1, key.bytes().data(), nullptr) == 0 ||
        EVP_DecryptInit_ex2(context.get(), cipher.get(), key.view().data(), given.iv, nullptr) != 1)
      return false;
    good =
        EVP_DecryptUpdate(context.get(), der.data(), &size, der.data(), static_cast<int>(der.size())) == 1 &&
        EVP_DecryptFinal_ex(context.get(), der.data() + size, &rest) == 1;
    return true;
  });
  if (good) block->der.Shorten(static_cast<std::size_t>(size) + static_cast<std::size_t>(rest));
  return good;
}

bool DecryptPkcs8(PemBlock* block, base::Bytes passphrase) {
  const std::uint8_t* at = block->der.view().data();
  const Owned<X509_SIG, X509_SIG_free> encrypted(
      d2i_X509_SIG(nullptr, &at, static_cast<long>(block->der.view().size())));
  if (encrypted == nullptr) return false;
  const X509_ALGOR* algorithm = nullptr;
  const ASN1_OCTET_STRING* bytes = nullptr;
  X509_SIG_get0(encrypted.get(), &algorithm, &bytes);
  CheckPasswordCost(algorithm);
  std::uint8_t* decrypted = nullptr;
  int size = 0;
  InNewLibraryToo([&](OSSL_LIB_CTX* library) {
    if (PKCS12_pbe_crypt_ex(algorithm, reinterpret_cast<const char*>(passphrase.data()),
                            static_cast<int>(passphrase.size()), ASN1_STRING_get0_data(bytes),
                            ASN1_STRING_length(bytes), &decrypted, &size, 0, library, nullptr) != nullptr)
      return true;
    // A wrong passphrase shows at the end, and is not hashed a second time.
    return ERR_GET_REASON(ERR_peek_last_error()) == PKCS12_R_PKCS12_CIPHERFINAL_ERROR;
  });
  if (decrypted == nullptr) return false;
  block->der = Der(decrypted, static_cast<std::size_t>(size));
  return true;
}

}  // namespace

bool IsEncrypted(const PemBlock& block) { return block.name == kEncryptedPkcs8 || !block.header.empty(); }

bool Decrypt(PemBlock* block, base::Bytes passphrase) {
  if (block->name == kEncryptedPkcs8 ? DecryptPkcs8(block, passphrase) : DecryptByHeader(block, passphrase))
    return true;
  // The oldest entry is the cause.
  const bool offered = ERR_GET_REASON(ERR_peek_error()) != ERR_R_UNSUPPORTED;
  ThrowIfOutOfMemory();
  if (offered) return false;
  throw base::Error(base::ErrorCode::kInvalidArgument,
                    "the private key is encrypted in a way that OpenSSL offers no more", {},
                    "Encrypt it anew: 'openssl pkcs8 -topk8 -provider legacy -provider default'.");
}

}  // namespace trustpoint::crypto
