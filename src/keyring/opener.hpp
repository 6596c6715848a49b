// Decrypting values. A context keeps its key for the rest of the transaction.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "crypto/gcm.hpp"
#include "crypto/short_gcm.hpp"
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
  // A context, and what it is keyed with.
  template <class Gcm>
  struct Kept {
    Gcm gcm;
    std::uint64_t serial = 0;  // of the DEK; 0: none
    envelope::Suite suite = envelope::Suite::kXaes256Gcm;
    base::Block<crypto::kXaesPrefixSize> prefix{};
  };

  template <class Gcm>
  bool OpenWith(Kept<Gcm>& kept, const Dek& dek, const envelope::Value& value, base::Bytes context,
                base::MutableBytes plaintext);
  void Derive(const Dek& dek, base::Bytes prefix, base::MutableBytes key);
  template <class Gcm>
  void KeyFor(Kept<Gcm>& kept, const Dek& dek, const envelope::Value& value);

  Kept<crypto::GcmOpener> long_;
  Kept<crypto::ShortGcmOpener> short_;
  crypto::XaesDeriver deriver_;
  std::uint64_t deriver_serial_ = 0;
};

}  // namespace trustpoint::keyring
