#include "keyring/sealer.hpp"

#include "crypto/random.hpp"

namespace trustpoint::keyring {

void Sealer::Begin(const Dek& dek, envelope::Suite suite) {
  dek_serial_ = 0;  // until all has worked
  short_.Clear();
  long_.Clear();
  crypto::Random(base::MutableBytes(nonce_).first(envelope::NonceSize(suite)));
  if (suite == envelope::Suite::kXaes256Gcm) crypto::SetKey(deriver_, dek.kept().encrypting, dek.xaes_key());
  suite_ = suite;
  values_ = bytes_ = 0;
  dek_serial_ = dek.serial();
}

template <class Gcm>
void Sealer::SealWith(Gcm& gcm, const Dek& dek, std::uint32_t key_id, base::Bytes context,
                      base::Bytes plaintext, base::MutableBytes stored) {
  const base::MutableBytes nonce = base::MutableBytes(nonce_).first(envelope::NonceSize(suite_));
  if (!gcm.keyed() && suite_ == envelope::Suite::kXaes256Gcm) {
    deriver_.Derive(nonce.first(crypto::kXaesPrefixSize), derived_.bytes());
    gcm.SetKey(derived_.view());
  } else if (!gcm.keyed()) {
    gcm.SetKey(dek.gcm_key());
  }
  const base::MutableBytes counter = nonce.last(crypto::kGcmNonceSize);
  base::Increment(counter);
  const envelope::ValueSlots slots = envelope::Lay(suite_, key_id, stored);
  base::Copy(slots.nonce, nonce);
  gcm.Seal(counter, envelope::AadHead(suite_, key_id), context, plaintext, slots.ciphertext, slots.tag);
}

void Sealer::Seal(const Dek& dek, envelope::Suite suite, std::uint32_t key_id, base::Bytes context,
                  base::Bytes plaintext, base::MutableBytes stored) {
  if (dek_serial_ != dek.serial() || suite_ != suite || values_ >= kMaxValues ||
      bytes_ + plaintext.size() > kMaxBytes)
    Begin(dek, suite);
  ++values_;
  bytes_ += plaintext.size();
  if (plaintext.size() <= crypto::kShortGcmMax)
    SealWith(short_, dek, key_id, context, plaintext, stored);
  else
    SealWith(long_, dek, key_id, context, plaintext, stored);
}

void Sealer::EndTransaction() noexcept {
  dek_serial_ = 0;
  short_.Clear();
  long_.Clear();
  deriver_.Clear();
  base::Wipe(derived_.bytes());
  base::Wipe(nonce_);
}

}  // namespace trustpoint::keyring
