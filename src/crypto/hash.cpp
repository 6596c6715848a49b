#include "crypto/hash.hpp"

#include <openssl/evp.h>

#include <string>

#include "base/error.hpp"
#include "crypto/openssl.hpp"

namespace trustpoint::crypto {
namespace {

struct Kind {
  const char* name;
  const char* openssl_name;
  std::size_t size;
};

constexpr Kind kKinds[] = {
    {"sha1", "SHA1", 20},       {"sha224", "SHA2-224", 28}, {"sha256", "SHA2-256", 32},
    {"sha384", "SHA2-384", 48}, {"sha512", "SHA2-512", 64},
};
constexpr std::size_t kCount = sizeof kKinds / sizeof kKinds[0];

const Kind& KindOf(Hash hash) { return kKinds[static_cast<std::size_t>(hash)]; }

}  // namespace

const EVP_MD* FetchedDigest(Hash hash) {
  static const EVP_MD* fetched[kCount] = {};
  const EVP_MD*& digest = fetched[static_cast<std::size_t>(hash)];
  if (digest == nullptr) digest = EVP_MD_fetch(Library(), KindOf(hash).openssl_name, nullptr);
  if (digest == nullptr) ThrowNotOffered("OpenSSL does not offer a hash");
  return digest;
}

std::size_t HashSize(Hash hash) noexcept { return KindOf(hash).size; }

const char* HashName(Hash hash) noexcept { return KindOf(hash).name; }

std::optional<Hash> HashFromName(std::string_view name) noexcept {
  for (const Hash hash : {Hash::kSha224, Hash::kSha256, Hash::kSha384, Hash::kSha512})
    if (name == HashName(hash)) return hash;
  return std::nullopt;
}

Hasher::Hasher(Hash hash) : hash_(hash), context_(EVP_MD_CTX_new()) {
  if (context_ != nullptr && EVP_DigestInit_ex2(context_, FetchedDigest(hash), nullptr) == 1) return;
  EVP_MD_CTX_free(context_);
  ThrowOpenSsl("could not begin a hash");
}

Hasher::~Hasher() { EVP_MD_CTX_free(context_); }

void Hasher::Update(base::Bytes data) {
  if (!data.empty() && EVP_DigestUpdate(context_, data.data(), data.size()) != 1)
    ThrowOpenSsl("a hash failed");
}

Digest Hasher::Finish() {
  Digest digest{hash_, static_cast<std::uint8_t>(HashSize(hash_)), {}};
  if (EVP_DigestFinal_ex(context_, digest.bytes.data(), nullptr) != 1) ThrowOpenSsl("a hash failed");
  return digest;
}

Digest HashOf(Hash hash, base::Bytes data) {
  Hasher hasher(hash);
  hasher.Update(data);
  return hasher.Finish();
}

Digest DigestFrom(Hash hash, base::Bytes bytes) {
  if (bytes.size() != HashSize(hash))
    throw base::Error(base::ErrorCode::kInvalidArgument, std::string("a digest of ") + HashName(hash) +
                                                             " has " + std::to_string(HashSize(hash)) +
                                                             " bytes, not " + std::to_string(bytes.size()));
  Digest digest{hash, static_cast<std::uint8_t>(bytes.size()), {}};
  base::Copy(digest.bytes, bytes);
  return digest;
}

}  // namespace trustpoint::crypto
