// Private keys in PEM, and what the token would be given of them.
//
// Input: PEM, or a byte that chooses its kind and DER (keys.hpp). What is encrypted has the passphrase
// "fuzz".
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <memory>
#include <optional>

#include "crypto/private_key.hpp"
#include "hsm/key_template.hpp"
#include "keys.hpp"

namespace trustpoint::test {
namespace {

using base::ErrorCode;
using crypto::KeyType;
using crypto::PrivateKey;
using crypto::RsaPadding;
using hsm::Extent;
using hsm::Usage;

constexpr std::string_view kPassphrase = "fuzz";

base::Bytes Attribute(pkcs11::Template& attributes, CK_ATTRIBUTE_TYPE type) {
  for (CK_ULONG i = 0; i < attributes.size(); ++i) {
    const CK_ATTRIBUTE& attribute = attributes.data()[i];
    if (attribute.type == type)
      return {static_cast<const std::uint8_t*>(attribute.pValue), attribute.ulValueLen};
  }
  return {};
}

void CheckNumbers(const PrivateKey& key) {
  if (key.type == KeyType::kRsa) {
    Require(key.bits == 2048 || key.bits == 3072 || key.bits == 4096, "RSA keys have one of three sizes");
    Require(key.modulus.size() == key.bits / 8 && key.modulus[0] >= 0x80, "a modulus is as long as it says");
    Require(key.private_exponent.size() <= key.modulus.size(), "an exponent is no longer than the modulus");
    for (const auto* number :
         {&key.prime_1, &key.prime_2, &key.exponent_1, &key.exponent_2, &key.coefficient})
      Require(number->size() > 0 && number->size() < key.modulus.size(), "no number of a key is missing");
  } else {
    Require(key.type == KeyType::kEc && key.bits == crypto::CurveBits(key.curve), "what is not RSA is EC");
    Require(key.scalar.size() == crypto::CurveSize(key.curve) &&
                key.point.size() == 1 + 2 * crypto::CurveSize(key.curve) && key.point[0] == 0x04,
            "the numbers of an EC key have the size of its curve");
  }
}

// What the two halves of the import say, from everything to the least.
void CheckTemplates(const PrivateKey& key) {
  const base::Block<16> id{};
  const auto der = key.Public().Der();
  for (const Usage usage : {Usage::kSign, Usage::kDecrypt})
    for (const Extent extent : {Extent::kFull, Extent::kCommon, Extent::kBare}) {
      const hsm::ImportTemplates import({"fuzz", id}, key, usage);
      pkcs11::Template secret = import.private_half(extent), open = import.public_half(extent);
      Require(Attribute(secret, CKA_SENSITIVE)[0] == CK_TRUE && Attribute(secret, CKA_EXTRACTABLE)[0] == 0,
              "what is brought in does not come out");
      const bool rsa = key.type == KeyType::kRsa;
      Require(Same(Attribute(secret, rsa ? CKA_PRIVATE_EXPONENT : CKA_VALUE),
                   rsa ? key.private_exponent.view() : key.scalar.view()),
              "the private half has the private number");
      for (const CK_ATTRIBUTE_TYPE type : {CKA_VALUE, CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_COEFFICIENT})
        Require(Attribute(open, type).empty(), "the public half has none of the private numbers");
      const crypto::PublicKey again =
          rsa ? crypto::PublicKey::FromRsa(Attribute(open, CKA_MODULUS), Attribute(open, CKA_PUBLIC_EXPONENT))
              : crypto::PublicKey::FromEc(key.curve, Attribute(open, CKA_EC_POINT));
      Require(Same(again.Der(), der), "the public half is the public key");
    }
}

// A key that was taken decrypts what was encrypted to it.
void CheckDecryption(const PrivateKey& key, std::string_view pem) {
  const auto data = base::AsBytes("to and fro");
  const auto ciphertext = key.Public().Encrypt(RsaPadding::kOaepSha256, data, data);
  const base::Secret plaintext =
      crypto::DecryptWithPem(pem, base::AsBytes(kPassphrase), RsaPadding::kOaepSha256, ciphertext, data);
  Require(Same(plaintext.view(), data), "RSA comes back to where it started");
}

void Read(std::string_view pem) {
  std::optional<PrivateKey> key;
  const auto read = [&](std::optional<base::Bytes> passphrase) {
    return Accepts({ErrorCode::kInvalidArgument},
                   [&] { key.emplace(crypto::ReadPrivateKey(pem, passphrase)); });
  };
  const bool taken = read(std::nullopt) || read(base::AsBytes(kPassphrase));
  if (taken) {
    CheckNumbers(*key);
    CheckTemplates(*key);
    if (key->type == KeyType::kRsa) CheckDecryption(*key, pem);
    return;
  }
  MarkErrors([&] {
    const std::unique_ptr<BIO, int (*)(BIO*)> bio(
        BIO_new_mem_buf(pem.data(), static_cast<int>(std::min<std::size_t>(pem.size(), 1U << 16))), BIO_free);
    // Without the passphrase, which OpenSSL alone would hash for hours.
    const auto none = [](char*, int, int, void*) { return -1; };
    EVP_PKEY* read_key = PEM_read_bio_PrivateKey(bio.get(), nullptr, none, nullptr);
    if (read_key != nullptr) Mark(static_cast<std::size_t>(EVP_PKEY_get_id(read_key)));
    EVP_PKEY_free(read_key);
  });
  // Recovery takes any RSA key.
  const Buffer ciphertext(256, 0x55);
  Accepts({ErrorCode::kInvalidArgument, ErrorCode::kAuthenticationFailed}, [&] {
    (void)crypto::DecryptWithPem(pem, base::AsBytes(kPassphrase), RsaPadding::kOaepSha256, ciphertext, {});
  });
}

}  // namespace
}  // namespace trustpoint::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  trustpoint::test::Read(trustpoint::test::PemOf({data, size}));
  return 0;
}
