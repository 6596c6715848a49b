// What the tests of src/hsm share: a connection to a private SoftHSM token, and keys in it.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "crypto/random.hpp"
#include "hsm/aes.hpp"
#include "hsm/change_key.hpp"
#include "hsm/guard.hpp"
#include "hsm/listing.hpp"
#include "hsm/make_key.hpp"
#include "hsm/rsa_decrypt.hpp"
#include "hsm/sign.hpp"
#include "hsm/stream.hpp"
#include "unit/crypto_fixture.hpp"
#include "unit/pkcs11_fixture.hpp"

namespace trustpoint::test {

using Octets = std::vector<std::uint8_t>;
using hsm::AesMode;
using hsm::KeyRef;
using hsm::TokenKey;
using hsm::Usage;
using pkcs11::Level;
using pkcs11::Session;

inline Octets Bytes(std::string_view text) { return {text.begin(), text.end()}; }

class HsmTest : public TokenTest {
 protected:
  HsmTest() : connection_(Connect()) {}

  template <class Operation>
  void OnToken(Operation&& operation) {
    starts_ = waits_ = 0;  // the limit is one of each operation
    Run(*connection_, Level::kLogin, operation);
  }
  // With the key, found as a backend finds it.
  template <class Operation>
  void WithKey(const KeyRef& ref, Operation&& operation) {
    OnToken([&](Session& session) { operation(session, keys_.Find(session, connection_->epoch(), ref)); });
  }

  Octets NewId() {
    Octets id(hsm::kKeyIdSize);
    crypto::Random(id);
    return id;
  }
  Octets MakeRsa(std::string_view label, Usage usage = Usage::kSign, unsigned bits = 2048) {
    const Octets id = NewId();
    OnToken([&](Session& session) { hsm::MakeRsaKey(session, {label, id}, bits, usage); });
    return id;
  }
  Octets MakeEc(std::string_view label, crypto::Curve curve = crypto::Curve::kP256) {
    const Octets id = NewId();
    OnToken([&](Session& session) { hsm::MakeEcKey(session, {label, id}, curve); });
    return id;
  }
  Octets MakeAes(std::string_view label, AesMode mode, unsigned bits = 256) {
    const Octets id = NewId();
    OnToken([&](Session& session) { hsm::MakeAesKey(session, {label, id}, bits, mode); });
    return id;
  }
  Octets Import(std::string_view label, EVP_PKEY* key, Usage usage = Usage::kSign) {
    const Octets id = NewId();
    OnToken([&](Session& session) {
      hsm::ImportKey(session, {label, id}, crypto::ReadPrivateKey(PrivatePem(key), std::nullopt), usage);
    });
    return id;
  }

  Octets Sign(const KeyRef& ref, crypto::SignatureAlgorithm algorithm, base::Bytes data) {
    Octets signature(hsm::kMaxSignatureSize);
    WithKey(ref, [&](Session& session, const TokenKey& key) {
      const crypto::Digest digest = crypto::HashOf(algorithm.hash, data);
      size_ = hsm::Sign(session, key, algorithm, digest, signature);
    });
    signature.resize(size_);
    return signature;
  }
  Octets RsaDecrypt(const KeyRef& ref, crypto::RsaPadding padding, base::Bytes ciphertext) {
    Octets out(hsm::kMaxRsaBlockSize);
    WithKey(ref, [&](Session& session, const TokenKey& key) {
      size_ = hsm::RsaDecrypt(session, key, padding, ciphertext, out);
    });
    out.resize(size_);
    return out;
  }
  Octets AesEncrypt(const KeyRef& ref, AesMode mode, base::Bytes data) {
    Octets out(hsm::AesEncryptRoom(mode, data.size()));
    WithKey(ref, [&](Session& session, const TokenKey& key) {
      size_ = hsm::AesEncrypt(session, key, mode, ref.label, data, out);
    });
    out.resize(size_);
    return out;
  }
  Octets AesDecrypt(const KeyRef& ref, AesMode mode, base::Bytes value) {
    Octets out(hsm::AesDecryptRoom(mode, value.size()));
    WithKey(ref, [&](Session& session, const TokenKey& key) {
      size_ = hsm::AesDecrypt(session, key, mode, ref.label, value, out);
    });
    out.resize(size_);
    return out;
  }
  // The public key as another implementation takes it.
  OpenSslKey PublicHalf(const KeyRef& ref) {
    std::string pem;
    WithKey(ref, [&](Session&, const TokenKey& key) { pem = key.RequirePublic().Pem(); });
    BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    OpenSslKey key(PEM_read_bio_PUBKEY(bio, nullptr, nullptr, nullptr));
    BIO_free(bio);
    EXPECT_TRUE(key);
    return key;
  }
  std::size_t Objects() {
    std::size_t count = 0;
    OnToken([&](Session& session) {
      pkcs11::Template any;
      count = pkcs11::Find(session, any, 10'000).size();
    });
    return count;
  }

  std::unique_ptr<pkcs11::Connection> connection_;
  hsm::KeyCache keys_;
  std::size_t size_ = 0;
};

// Whether OpenSSL itself verifies it.
inline bool OpenSslVerifies(EVP_PKEY* key, crypto::SignatureAlgorithm algorithm, base::Bytes data,
                            base::Bytes signature) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* options = nullptr;
  EXPECT_EQ(EVP_DigestVerifyInit_ex(context, &options, crypto::HashName(algorithm.hash), nullptr, nullptr,
                                    key, nullptr),
            1);
  if (algorithm.scheme == crypto::Scheme::kRsaPss) {
    EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST);
  }
  const int verified =
      EVP_DigestVerify(context, signature.data(), signature.size(), data.data(), data.size());
  EVP_MD_CTX_free(context);
  return verified == 1;
}

}  // namespace trustpoint::test
