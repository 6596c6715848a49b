// The names that SQL gives to kinds of keys, curves, signatures and paddings. No cryptography in here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "crypto/hash.hpp"

namespace trustpoint::crypto {

enum class KeyType : std::uint8_t { kRsa, kEc, kAes };
const char* KeyTypeName(KeyType type) noexcept;  // "RSA", "EC", "AES"

enum class Curve : std::uint8_t { kP256, kP384, kP521, kSecp256k1 };
const char* CurveName(Curve curve) noexcept;  // "P-256"
std::optional<Curve> CurveFromName(std::string_view name) noexcept;
unsigned CurveBits(Curve curve) noexcept;
// Bytes of a coordinate: 32, 48, 66, 32.
std::size_t CurveSize(Curve curve) noexcept;
// The DER of its OID, as CKA_EC_PARAMS has it.
base::Bytes CurveOid(Curve curve) noexcept;
std::optional<Curve> CurveFromOid(base::Bytes der) noexcept;

enum class Scheme : std::uint8_t { kRsaPss, kRsaPkcs1, kEcdsa };

// rsa-pss-sha224|256|384|512, rsa-pkcs1-sha224|256|384|512, ecdsa-sha256|384|512.
struct SignatureAlgorithm {
  Scheme scheme;
  Hash hash;
  KeyType key_type() const noexcept { return scheme == Scheme::kEcdsa ? KeyType::kEc : KeyType::kRsa; }
  bool operator==(const SignatureAlgorithm&) const = default;
};
std::optional<SignatureAlgorithm> SignatureAlgorithmFromName(std::string_view name) noexcept;
std::string SignatureAlgorithmName(SignatureAlgorithm algorithm);
inline constexpr std::string_view kSignatureAlgorithmNames =
    "rsa-pss-sha224, -sha256, -sha384, -sha512, rsa-pkcs1-sha224, -sha256, -sha384, -sha512, ecdsa-sha256, "
    "-sha384, -sha512";
// rsa-pss-sha256, or ecdsa with the hash of the curve's size. curve: kEc only.
SignatureAlgorithm DefaultAlgorithm(KeyType type, Curve curve) noexcept;

enum class RsaPadding : std::uint8_t {
  kOaepSha1,
  kOaepSha224,
  kOaepSha256,
  kOaepSha384,
  kOaepSha512,
  kPkcs1
};
std::optional<RsaPadding> RsaPaddingFromName(std::string_view name) noexcept;  // "oaep-sha256", "pkcs1"
const char* RsaPaddingName(RsaPadding padding) noexcept;
inline constexpr std::string_view kRsaPaddingNames =
    "oaep-sha1, oaep-sha224, oaep-sha256, oaep-sha384, oaep-sha512, pkcs1";
// Of OAEP only.
Hash OaepHash(RsaPadding padding) noexcept;
// The longest plaintext of a key of so many bits; 0 when the key is too short for the padding.
std::size_t MaxRsaPlaintext(RsaPadding padding, unsigned bits) noexcept;

}  // namespace trustpoint::crypto
