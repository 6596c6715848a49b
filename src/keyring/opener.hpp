// Decrypting values. The last derived key is kept, as rows that were written together share their nonce
// prefix.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "crypto/gcm.hpp"
#include "crypto/xaes.hpp"
#include "envelope/value.hpp"
#include "keyring/subkeys.hpp"

namespace trustpoint::keyring {

class Opener {
 public:
  // plaintext: as long as value.ciphertext. False: not authentic, and plaintext has been wiped.
  [[nodiscard]] bool Open(const Dek& dek, const envelope::Value& value, base::Bytes context,
                          base::MutableBytes plaintext);

  // Wipes the keys. At the end of every transaction, commit or abort.
  void EndTransaction() noexcept;

 private:
  void KeyFor(const Dek& dek, const envelope::Value& value);

  crypto::GcmOpener gcm_;
  crypto::XaesDeriver deriver_;
  std::uint64_t deriver_serial_ = 0;  // the DEK of each; 0: none
  std::uint64_t gcm_serial_ = 0;
  envelope::Suite suite_ = envelope::Suite::kXaes256Gcm;
  base::Block<crypto::kXaesPrefixSize> prefix_{};
};

}  // namespace trustpoint::keyring
