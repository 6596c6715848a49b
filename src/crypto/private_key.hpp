// A private key read from PEM, taken apart for the token. Its secret numbers live in locked memory.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "crypto/public_key.hpp"

namespace trustpoint::crypto {

// Big-endian numbers as PKCS#11 wants them.
struct PrivateKey {
  KeyType type = KeyType::kRsa;
  unsigned bits = 0;
  std::vector<std::uint8_t> modulus, exponent;                                           // RSA
  base::Secret private_exponent, prime_1, prime_2, exponent_1, exponent_2, coefficient;  // RSA
  Curve curve = Curve::kP256;                                                            // EC
  std::vector<std::uint8_t> point;                                                       // EC: 04 X Y
  base::Secret scalar;                                                                   // EC
  PublicKey Public() const;
};

// PKCS#1, SEC 1, PKCS#8, and the encrypted forms of each. Throws kInvalidArgument: no private key in there,
// encrypted and no passphrase given, wrong passphrase, not RSA of 2048, 3072 or 4096 bits or a curve on the
// list, numbers that do not belong together.
PrivateKey ReadPrivateKey(std::string_view pem, std::optional<base::Bytes> passphrase);

// RSA decryption in this process, by a key that is in no token. label: of OAEP. Throws kInvalidArgument as
// above and for a key that is not RSA, kAuthenticationFailed for whatever does not decrypt.
base::Secret DecryptWithPem(std::string_view pem, std::optional<base::Bytes> passphrase, RsaPadding padding,
                            base::Bytes ciphertext, base::Bytes label);

}  // namespace trustpoint::crypto
