// Encrypting values: the contexts of this process and the nonces of this transaction.
//
// Nonces are unique by (process, DEK, transaction): random at its start, then counted up and never rewound,
// not by a savepoint, an error or a portal. A query over many rows so derives its key once.
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

class Sealer {
 public:
  // stored: envelope::Overhead(suite) + plaintext bytes. plaintext may be the very bytes where the ciphertext
  // goes (envelope::Lay), and may not overlap otherwise. context: UTF-8.
  void Seal(const Dek& dek, envelope::Suite suite, std::uint32_t key_id, base::Bytes context,
            base::Bytes plaintext, base::MutableBytes stored);

  // Wipes keys and nonces. At the end of every transaction, commit or abort.
  void EndTransaction() noexcept;

 private:
  void Begin(const Dek& dek, envelope::Suite suite);
  template <class Gcm>
  void SealWith(Gcm& gcm, const Dek& dek, std::uint32_t key_id, base::Bytes context, base::Bytes plaintext,
                base::MutableBytes stored);

  // A prefix is renewed long before the bounds of AES-256-GCM under one derived key.
  static constexpr std::uint64_t kMaxValues = std::uint64_t{1} << 20;
  static constexpr std::uint64_t kMaxBytes = std::uint64_t{1} << 36;

  // Both encrypt under one key, each keyed at its first use, and count with one counter.
  crypto::GcmSealer long_;
  crypto::ShortGcmSealer short_;
  crypto::XaesDeriver deriver_;
  base::Secret derived_{crypto::kKeySize};  // on its way into a context
  std::uint64_t dek_serial_ = 0;            // 0: none
  envelope::Suite suite_ = envelope::Suite::kXaes256Gcm;
  base::Block<envelope::kMaxNonceSize> nonce_{};  // its last 12 bytes count
  std::uint64_t values_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace trustpoint::keyring
