// What the tests of keys share: keys that OpenSSL makes, and their forms in PEM.
#pragma once

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "crypto/public_key.hpp"

namespace trustpoint::test {

struct FreeKey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using OpenSslKey = std::unique_ptr<EVP_PKEY, FreeKey>;

// The same for each size within one program: RSA keys are slow to make.
inline EVP_PKEY* RsaKey(unsigned bits = 2048) {
  static std::map<unsigned, OpenSslKey> keys;
  OpenSslKey& key = keys[bits];
  if (!key) key.reset(EVP_RSA_gen(bits));
  return key.get();
}

inline EVP_PKEY* EcKey(crypto::Curve curve) {
  static std::map<crypto::Curve, OpenSslKey> keys;
  static constexpr const char* kNames[] = {"P-256", "P-384", "P-521", "secp256k1"};
  OpenSslKey& key = keys[curve];
  if (!key) key.reset(EVP_EC_gen(kNames[static_cast<int>(curve)]));
  return key.get();
}

// What write(BIO*) writes.
template <class Write>
std::string Written(Write write) {
  BIO* bio = BIO_new(BIO_s_mem());
  EXPECT_EQ(write(bio), 1);
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio, &text);
  const std::string written(text, static_cast<std::size_t>(size));
  BIO_free(bio);
  return written;
}

inline std::string PublicPem(EVP_PKEY* key) {
  return Written([&](BIO* bio) { return PEM_write_bio_PUBKEY(bio, key); });
}

// PKCS#8, encrypted where there is a passphrase.
inline std::string PrivatePem(EVP_PKEY* key, const char* passphrase = nullptr) {
  return Written([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key, passphrase ? EVP_aes_256_cbc() : nullptr, nullptr, 0,
                                         nullptr, const_cast<char*>(passphrase));
  });
}

inline std::string PemOf(const char* name, base::Bytes der) {
  return Written([&](BIO* bio) {
    return PEM_write_bio(bio, name, "", der.data(), static_cast<long>(der.size())) > 0 ? 1 : 0;
  });
}

// PKCS#1 or SEC 1, encrypted where there is a passphrase.
inline std::string TraditionalPem(EVP_PKEY* key, const char* passphrase = nullptr) {
  return Written([&](BIO* bio) {
    return PEM_write_bio_PrivateKey_traditional(bio, key, passphrase ? EVP_aes_128_cbc() : nullptr, nullptr,
                                                0, nullptr, const_cast<char*>(passphrase));
  });
}

inline std::optional<base::ErrorCode> CodeOf(auto&& body) {
  try {
    body();
  } catch (const base::Error& error) {
    return error.code();
  }
  return std::nullopt;
}

// Whether body(), which returns a bool, says yes in a process of its own, and within half a minute: what it
// must do in no time may otherwise take hours, in which nothing would stop the test.
inline bool HoldsInTime(auto&& body) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(30);
    bool holds = false;
    try {
      holds = body();
    } catch (...) {
    }
    _exit(holds ? 0 : 1);
  }
  int status = -1;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// A signature that OpenSSL makes, by the same names as ours.
inline std::vector<std::uint8_t> OpenSslSign(EVP_PKEY* key, crypto::SignatureAlgorithm algorithm,
                                             base::Bytes data, int salt = RSA_PSS_SALTLEN_DIGEST) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* options = nullptr;
  EXPECT_EQ(EVP_DigestSignInit_ex(context, &options, crypto::HashName(algorithm.hash), nullptr, nullptr, key,
                                  nullptr),
            1);
  if (algorithm.scheme == crypto::Scheme::kRsaPss) {
    EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(options, salt);
  }
  std::size_t size = 4096;
  std::vector<std::uint8_t> signature(size);
  EXPECT_EQ(EVP_DigestSign(context, signature.data(), &size, data.data(), data.size()), 1);
  EVP_MD_CTX_free(context);
  signature.resize(size);
  return signature;
}

inline std::vector<crypto::SignatureAlgorithm> AlgorithmsOf(crypto::KeyType type) {
  using crypto::Hash;
  using crypto::Scheme;
  std::vector<crypto::SignatureAlgorithm> all;
  if (type == crypto::KeyType::kEc)
    for (const Hash hash : {Hash::kSha256, Hash::kSha384, Hash::kSha512})
      all.push_back({Scheme::kEcdsa, hash});
  else
    for (const Scheme scheme : {Scheme::kRsaPss, Scheme::kRsaPkcs1})
      for (const Hash hash : {Hash::kSha224, Hash::kSha256, Hash::kSha384, Hash::kSha512})
        all.push_back({scheme, hash});
  return all;
}

inline constexpr crypto::Curve kCurves[] = {crypto::Curve::kP256, crypto::Curve::kP384, crypto::Curve::kP521,
                                            crypto::Curve::kSecp256k1};
inline constexpr crypto::RsaPadding kPaddings[] = {
    crypto::RsaPadding::kOaepSha1,   crypto::RsaPadding::kOaepSha224, crypto::RsaPadding::kOaepSha256,
    crypto::RsaPadding::kOaepSha384, crypto::RsaPadding::kOaepSha512, crypto::RsaPadding::kPkcs1};

}  // namespace trustpoint::test
