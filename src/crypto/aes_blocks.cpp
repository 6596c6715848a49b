#include "crypto/aes_blocks.hpp"

#include <openssl/core_dispatch.h>
#include <openssl/evp.h>
#include <openssl/provider.h>

#include <cstring>
#include <string_view>

#include "crypto/expanded_key.hpp"
#include "crypto/openssl.hpp"

namespace trustpoint::crypto {
namespace {

constexpr char kName[] = "AES-256-ECB";
constexpr std::uint8_t kZeros[32] = {};

// The functions that the provider offers for it.
struct Aes {
  void* provider = nullptr;  // its context
  OSSL_FUNC_cipher_newctx_fn* make = nullptr;
  OSSL_FUNC_cipher_freectx_fn* free = nullptr;
  OSSL_FUNC_cipher_encrypt_init_fn* set_key = nullptr;
  OSSL_FUNC_cipher_cipher_fn* encrypt = nullptr;

  bool complete() const { return make && free && set_key && encrypt; }
};

Aes FunctionsOf(const OSSL_DISPATCH* function) {
  Aes aes;
  for (; function->function_id != 0; ++function) switch (function->function_id) {
      case OSSL_FUNC_CIPHER_NEWCTX:
        aes.make = OSSL_FUNC_cipher_newctx(function);
        break;
      case OSSL_FUNC_CIPHER_FREECTX:
        aes.free = OSSL_FUNC_cipher_freectx(function);
        break;
      case OSSL_FUNC_CIPHER_ENCRYPT_INIT:
        aes.set_key = OSSL_FUNC_cipher_encrypt_init(function);
        break;
      case OSSL_FUNC_CIPHER_CIPHER:
        aes.encrypt = OSSL_FUNC_cipher_cipher(function);
        break;
    }
  return aes;
}

// A list of names begins with the one that we know: "AES-256-ECB:2.16.840.1.101.3.4.1.41".
bool IsNamed(const OSSL_ALGORITHM& algorithm) {
  const std::string_view names = algorithm.algorithm_names;
  return names.substr(0, names.find(':')) == kName;
}

Aes FindAes() {
  const OSSL_PROVIDER* const provider = EVP_CIPHER_get0_provider(FetchCipher(kName));
  int no_store;
  const OSSL_ALGORITHM* const all = OSSL_PROVIDER_query_operation(provider, OSSL_OP_CIPHER, &no_store);
  Aes aes;
  for (const OSSL_ALGORITHM* one = all; one != nullptr && one->algorithm_names != nullptr; ++one)
    if (IsNamed(*one)) {
      aes = FunctionsOf(one->implementation);
      break;
    }
  OSSL_PROVIDER_unquery_operation(provider, OSSL_OP_CIPHER, all);
  if (!aes.complete()) ThrowNotOffered("OpenSSL's provider offers no AES-256-ECB");
  aes.provider = OSSL_PROVIDER_get0_provider_ctx(provider);
  return aes;
}

const Aes& Aes256Ecb() {
  static const Aes aes = FindAes();
  return aes;
}

}  // namespace

AesBlocks::~AesBlocks() {
  if (context_ != nullptr) Aes256Ecb().free(context_);  // cleanses it
}

bool AesBlocks::SetKey(base::Bytes key) {
  const Aes& aes = Aes256Ecb();
  if (context_ == nullptr) {
    context_ = aes.make(aes.provider);
    if (context_ == nullptr) return false;
    const base::MutableBytes memory = MemoryOf(context_);
    unkeyed_.assign(memory.begin(), memory.end());
    memory_ = memory;
  }
  return aes.set_key(context_, key.data(), key.size(), nullptr, 0, nullptr) == 1;
}

bool AesBlocks::Encrypt(const std::uint8_t* in, std::uint8_t* out, std::size_t size) noexcept {
  std::size_t written;
  return Aes256Ecb().encrypt(context_, out, &written, size, in, size) == 1;
}

void AesBlocks::ClearRegisters() noexcept {
  std::uint8_t blocks[2 * kAesBlockSize];  // they stay on the stack: any that nothing is ever made of
  std::memset(blocks, 0xFF, sizeof blocks);
  (void)Encrypt(blocks, blocks, sizeof blocks);
}

void AesBlocks::Clear() noexcept {
  if (context_ == nullptr) return;
  const Aes& aes = Aes256Ecb();
  if (!memory_.empty()) return base::Copy(memory_, unkeyed_);
  if (aes.set_key(context_, kZeros, sizeof kZeros, nullptr, 0, nullptr) == 1) return;
  aes.free(context_);
  context_ = nullptr;  // SetKey makes a new one
}

}  // namespace trustpoint::crypto
