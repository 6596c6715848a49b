// Trustpoint's own fields under a DEK of purpose tpsec: AES-256-GCM under the raw DEK, with a random nonce
// for each, as Trustpoint itself makes them. Good for 2^32 fields of one DEK.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "crypto/gcm.hpp"
#include "envelope/tpsec.hpp"
#include "keyring/subkeys.hpp"

namespace trustpoint::keyring {

class TpsecCipher {
 public:
  // payload: envelope::kTpsecOverhead + plaintext bytes, in today's form.
  void Seal(const Dek& dek, base::Bytes plaintext, base::MutableBytes payload);
  // plaintext: as long as the ciphertext, and still with the padding of its form. False: not authentic under
  // this DEK, and plaintext has been wiped.
  [[nodiscard]] bool Open(const Dek& dek, const envelope::TpsecField& field, base::MutableBytes plaintext);

  // Wipes the keys. At the end of every transaction, commit or abort.
  void EndTransaction() noexcept;

 private:
  crypto::GcmSealer sealer_;
  crypto::GcmOpener opener_;
  std::uint64_t sealer_serial_ = 0;  // the DEK of each; 0: none
  std::uint64_t opener_serial_ = 0;
};

}  // namespace trustpoint::keyring
