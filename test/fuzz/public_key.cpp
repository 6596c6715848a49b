// Public keys, in PEM, in DER and in the numbers of a token, and what is done with them.
//
// Input: PEM; or a byte that chooses, and DER, a modulus with its exponent, or a point.
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <optional>

#include "crypto/hash.hpp"
#include "crypto/public_key.hpp"
#include "keys.hpp"

namespace trustpoint::test {
namespace {

using base::ErrorCode;
using crypto::Curve;
using crypto::Hash;
using crypto::KeyType;
using crypto::PublicKey;
using crypto::Scheme;

PublicKey ReadKey(base::Bytes bytes) {
  if (bytes.size() < 2 || base::AsText(bytes).starts_with(kPemBegin))
    return PublicKey::FromPem(base::AsText(bytes));
  Input input(bytes.data(), bytes.size());
  const std::uint8_t kind = input.Byte() % 8;
  if (kind < 4) return PublicKey::FromEc(static_cast<Curve>(kind), input.rest());
  if (kind == 4) {
    const base::Bytes exponent = input.Counted();
    return PublicKey::FromRsa(input.rest(), exponent);
  }
  MarkErrors([&] {
    const std::uint8_t* end = input.rest().data();
    EVP_PKEY* read = d2i_PUBKEY(nullptr, &end, static_cast<long>(input.rest().size()));
    if (read != nullptr) Mark(static_cast<std::size_t>(EVP_PKEY_get_id(read)));
    EVP_PKEY_free(read);
  });
  if (kind == 5) return PublicKey::FromPem(crypto::ToPem("PUBLIC KEY", input.rest()));
  return PublicKey::FromDer(input.rest());
}

// What is written is the same key.
void CheckWriting(const PublicKey& key) {
  const auto der = key.Der();
  const PublicKey again = PublicKey::FromDer(der);
  Require(again.type() == key.type() && again.bits() == key.bits() && again.curve() == key.curve(),
          "a key is read as it was written");
  Require(Same(again.Der(), der) && Same(PublicKey::FromPem(key.Pem()).Der(), der),
          "a key has one DER and one PEM");
  Buffer longer = Copied(der);
  longer.push_back(0);
  Require(!Accepts({ErrorCode::kInvalidArgument}, [&] { (void)PublicKey::FromDer(longer); }),
          "nothing may follow a key");
}

void CheckVerifying(const PublicKey& key, base::Bytes signature) {
  for (const Scheme scheme : {Scheme::kRsaPss, Scheme::kRsaPkcs1, Scheme::kEcdsa})
    for (const Hash hash : {Hash::kSha256, Hash::kSha512}) {
      const crypto::Digest digest = crypto::HashOf(hash, base::AsBytes("signed by nobody"));
      bool good = false;
      const bool fits = Accepts({ErrorCode::kInvalidArgument}, [&] {
        good = key.Verify({scheme, hash}, digest, signature);
      });
      Require(fits == ((scheme == Scheme::kEcdsa) == (key.type() == KeyType::kEc)),
              "an algorithm is for one type of key");
      Require(!good, "nothing verifies that nobody signed");
    }
}

void CheckEncrypting(const PublicKey& key) {
  const bool encrypted = Accepts({ErrorCode::kInvalidArgument}, [&] {
    const auto ciphertext = key.Encrypt(crypto::RsaPadding::kOaepSha256, base::AsBytes("secret"));
    Require(ciphertext.size() == (key.bits() + 7) / 8, "a ciphertext is as long as the modulus");
  });
  Require(!encrypted || key.type() == KeyType::kRsa, "an EC key does not encrypt");
}

void Check(const PublicKey& key, base::Bytes bytes) {
  if (key.type() == KeyType::kRsa)
    Require(key.bits() >= crypto::kMinRsaBits && key.bits() <= crypto::kMaxRsaBits, "RSA keys have a size");
  else
    Require(key.type() == KeyType::kEc && key.bits() == crypto::CurveBits(key.curve()), "the others are EC");
  CheckWriting(key);
  CheckVerifying(key, bytes.last(std::min<std::size_t>(bytes.size(), (key.bits() + 7) / 8)));
  CheckEncrypting(key);
}

}  // namespace
}  // namespace trustpoint::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace trustpoint;
  const base::Bytes bytes(data, size);
  std::optional<crypto::PublicKey> key;
  if (test::Accepts({base::ErrorCode::kInvalidArgument}, [&] { key.emplace(test::ReadKey(bytes)); }))
    test::Check(*key, bytes);
  return 0;
}
