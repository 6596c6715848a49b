// Decrypting values. A context keeps its key for the rest of the transaction.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "base/secret.hpp"
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
  struct Keyed {
    Gcm gcm;
    std::uint64_t serial = 0;  // of the DEK; 0: none
    envelope::Suite suite = envelope::Suite::kXaes256Gcm;
    base::Block<crypto::kXaesPrefixSize> prefix{};
  };

  template <class Gcm>
  bool OpenWith(Keyed<Gcm>& keyed, const Dek& dek, const envelope::Value& value, base::Bytes context,
                base::MutableBytes plaintext);
  template <class Gcm>
  void KeyFor(Keyed<Gcm>& keyed, const Dek& dek, const envelope::Value& value);
  void SetKey(crypto::GcmOpener& gcm, const Dek& dek, const envelope::Value& value);
  void SetKey(crypto::ShortGcmOpener& gcm, const Dek& dek, const envelope::Value& value);
  // The key of the value, good until the next one's is asked for.
  base::Bytes KeyOf(const Dek& dek, const envelope::Value& value);

  Keyed<crypto::GcmOpener> long_;
  Keyed<crypto::ShortGcmOpener> short_;
  crypto::XaesDeriver deriver_;
  std::uint64_t deriver_serial_ = 0;
  base::Secret derived_{crypto::kKeySize};
};

}  // namespace trustpoint::keyring
