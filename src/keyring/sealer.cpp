#include "keyring/sealer.hpp"

#include "base/secret.hpp"
#include "crypto/random.hpp"

namespace trustpoint::keyring {
namespace {

// Adds one, modulo 2 to the power of its bits.
void Increment(base::MutableBytes counter) {
  for (std::size_t i = counter.size(); i-- > 0;)
    if (++counter[i] != 0) return;
}

}  // namespace

void Sealer::Begin(const Dek& dek, envelope::Suite suite) {
  dek_serial_ = 0;  // until all has worked
  const base::MutableBytes nonce = base::MutableBytes(nonce_).first(envelope::NonceSize(suite));
  crypto::Random(nonce);
  if (suite == envelope::Suite::kXaes256Gcm) {
    base::Secret derived(crypto::kKeySize);
    deriver_.SetKey(dek.xaes_key());
    deriver_.Derive(nonce.first(crypto::kXaesPrefixSize), derived.bytes());
    gcm_.SetKey(derived.view());
  } else {
    gcm_.SetKey(dek.gcm_key());
  }
  suite_ = suite;
  values_ = bytes_ = 0;
  dek_serial_ = dek.serial();
}

void Sealer::Seal(const Dek& dek, envelope::Suite suite, std::uint32_t key_id, base::Bytes context,
                  base::Bytes plaintext, base::MutableBytes stored) {
  if (dek_serial_ != dek.serial() || suite_ != suite || values_ >= kMaxValues ||
      bytes_ + plaintext.size() > kMaxBytes)
    Begin(dek, suite);
  const base::MutableBytes nonce = base::MutableBytes(nonce_).first(envelope::NonceSize(suite));
  const base::MutableBytes counter = nonce.last(crypto::kGcmNonceSize);
  Increment(counter);
  ++values_;
  bytes_ += plaintext.size();

  const envelope::ValueSlots slots = envelope::Lay(suite, key_id, stored);
  base::Copy(slots.nonce, nonce);
  gcm_.Seal(counter, envelope::AadHead(suite, key_id), context, plaintext, slots.ciphertext, slots.tag);
}

void Sealer::EndTransaction() noexcept {
  dek_serial_ = 0;
  gcm_.Clear();
  deriver_.Clear();
  base::Wipe(nonce_);
}

}  // namespace trustpoint::keyring
