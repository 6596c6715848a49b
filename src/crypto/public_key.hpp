// An RSA or EC public key: what verifies signatures and encrypts, in this process.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/algorithm.hpp"

struct evp_pkey_st;

namespace trustpoint::crypto {

inline constexpr unsigned kMinRsaBits = 1024;  // of a key that only verifies or encrypts
inline constexpr unsigned kMaxRsaBits = 16384;

class PublicKey {
 public:
  // SubjectPublicKeyInfo. All throw kInvalidArgument for what is no such key, for RSA keys of other sizes and
  // for curves that are not on the list.
  static PublicKey FromPem(std::string_view pem);
  static PublicKey FromDer(base::Bytes der);
  // From the big-endian numbers of CKA_MODULUS and CKA_PUBLIC_EXPONENT.
  static PublicKey FromRsa(base::Bytes modulus, base::Bytes exponent);
  // From CKA_EC_POINT, which is 04 X Y, in an OCTET STRING or bare; the length tells. The point must be on
  // the curve.
  static PublicKey FromEc(Curve curve, base::Bytes point);

  PublicKey(PublicKey&&) noexcept = default;
  PublicKey& operator=(PublicKey&&) noexcept = default;
  ~PublicKey();

  KeyType type() const noexcept { return type_; }
  unsigned bits() const noexcept { return bits_; }
  Curve curve() const noexcept { return curve_; }  // of kEc only
  std::vector<std::uint8_t> Der() const;
  std::string Pem() const;

  // False for whatever does not verify, a signature that is none included. Throws kInvalidArgument when the
  // algorithm is not for this type of key. PSS: any length of salt; ECDSA: DER.
  bool Verify(SignatureAlgorithm algorithm, const Digest& digest, base::Bytes signature) const;

  // Throws kInvalidArgument for an EC key, and kTooLarge for data over MaxRsaPlaintext. label: of OAEP.
  std::vector<std::uint8_t> Encrypt(RsaPadding padding, base::Bytes data, base::Bytes label = {}) const;

  const evp_pkey_st* get() const noexcept { return key_.get(); }  // for src/crypto alone

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const noexcept;
  };
  explicit PublicKey(evp_pkey_st* key);  // takes it, then checks it

  std::unique_ptr<evp_pkey_st, Free> key_;
  KeyType type_ = KeyType::kRsa;
  unsigned bits_ = 0;
  Curve curve_ = Curve::kP256;
};

// Throws kInvalidArgument unless the algorithm is for keys of this type.
void CheckAlgorithm(SignatureAlgorithm algorithm, KeyType type);

}  // namespace trustpoint::crypto
