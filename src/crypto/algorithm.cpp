#include "crypto/algorithm.hpp"

#include <algorithm>
#include <iterator>

namespace trustpoint::crypto {
namespace {

struct CurveFacts {
  const char* name;
  unsigned bits;
  std::uint8_t oid[10];
  std::size_t oid_size;
};

constexpr CurveFacts kCurves[] = {
    {"P-256", 256, {0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07}, 10},
    {"P-384", 384, {0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22}, 7},
    {"P-521", 521, {0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x23}, 7},
    {"secp256k1", 256, {0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x0A}, 7},
};
constexpr Curve kAllCurves[] = {Curve::kP256, Curve::kP384, Curve::kP521, Curve::kSecp256k1};

const CurveFacts& FactsOf(Curve curve) { return kCurves[static_cast<std::size_t>(curve)]; }

constexpr const char* kPaddings[] = {"oaep-sha1",   "oaep-sha224", "oaep-sha256",
                                     "oaep-sha384", "oaep-sha512", "pkcs1"};
constexpr Hash kOaepHashes[] = {Hash::kSha1, Hash::kSha224, Hash::kSha256, Hash::kSha384, Hash::kSha512};

constexpr std::string_view kSchemes[] = {"rsa-pss-", "rsa-pkcs1-", "ecdsa-"};

}  // namespace

const char* KeyTypeName(KeyType type) noexcept {
  switch (type) {
    case KeyType::kRsa:
      return "RSA";
    case KeyType::kEc:
      return "EC";
    case KeyType::kAes:
      return "AES";
  }
  return "";
}

const char* CurveName(Curve curve) noexcept { return FactsOf(curve).name; }

std::optional<Curve> CurveFromName(std::string_view name) noexcept {
  for (const Curve curve : kAllCurves)
    if (name == CurveName(curve)) return curve;
  return std::nullopt;
}

unsigned CurveBits(Curve curve) noexcept { return FactsOf(curve).bits; }

std::size_t CurveSize(Curve curve) noexcept { return (FactsOf(curve).bits + 7) / 8; }

base::Bytes CurveOid(Curve curve) noexcept {
  return base::Bytes(FactsOf(curve).oid).first(FactsOf(curve).oid_size);
}

std::optional<Curve> CurveFromOid(base::Bytes der) noexcept {
  for (const Curve curve : kAllCurves)
    if (std::ranges::equal(der, CurveOid(curve))) return curve;
  return std::nullopt;
}

std::optional<SignatureAlgorithm> SignatureAlgorithmFromName(std::string_view name) noexcept {
  for (const Scheme scheme : {Scheme::kRsaPss, Scheme::kRsaPkcs1, Scheme::kEcdsa}) {
    const std::string_view prefix = kSchemes[static_cast<std::size_t>(scheme)];
    if (!name.starts_with(prefix)) continue;
    const std::optional<Hash> hash = HashFromName(name.substr(prefix.size()));
    if (!hash || (scheme == Scheme::kEcdsa && *hash == Hash::kSha224)) return std::nullopt;
    return SignatureAlgorithm{scheme, *hash};
  }
  return std::nullopt;
}

std::string SignatureAlgorithmName(SignatureAlgorithm algorithm) {
  return std::string(kSchemes[static_cast<std::size_t>(algorithm.scheme)]) + HashName(algorithm.hash);
}

SignatureAlgorithm DefaultAlgorithm(KeyType type, Curve curve) noexcept {
  if (type != KeyType::kEc) return {Scheme::kRsaPss, Hash::kSha256};
  if (curve == Curve::kP384) return {Scheme::kEcdsa, Hash::kSha384};
  if (curve == Curve::kP521) return {Scheme::kEcdsa, Hash::kSha512};
  return {Scheme::kEcdsa, Hash::kSha256};
}

std::optional<RsaPadding> RsaPaddingFromName(std::string_view name) noexcept {
  for (std::size_t i = 0; i < std::size(kPaddings); ++i)
    if (name == kPaddings[i]) return static_cast<RsaPadding>(i);
  return std::nullopt;
}

const char* RsaPaddingName(RsaPadding padding) noexcept {
  return kPaddings[static_cast<std::size_t>(padding)];
}

Hash OaepHash(RsaPadding padding) noexcept {
  return padding == RsaPadding::kPkcs1 ? Hash::kSha1 : kOaepHashes[static_cast<std::size_t>(padding)];
}

std::size_t MaxRsaPlaintext(RsaPadding padding, unsigned bits) noexcept {
  const std::size_t size = (bits + 7) / 8;
  const std::size_t overhead = padding == RsaPadding::kPkcs1 ? 11 : 2 * HashSize(OaepHash(padding)) + 2;
  return size > overhead ? size - overhead : 0;
}

}  // namespace trustpoint::crypto
