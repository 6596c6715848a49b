#include "keyring/opener.hpp"

#include <algorithm>

namespace trustpoint::keyring {

void Opener::Derive(const Dek& dek, base::Bytes prefix, base::MutableBytes key) {
  if (deriver_serial_ != dek.serial()) {
    deriver_serial_ = 0;
    deriver_.SetKey(dek.xaes_key());
    deriver_serial_ = dek.serial();
  }
  deriver_.Derive(prefix, key);
}

template <class Gcm>
void Opener::KeyFor(Kept<Gcm>& kept, const Dek& dek, const envelope::Value& value) {
  const bool xaes = value.suite == envelope::Suite::kXaes256Gcm;
  if (kept.serial == dek.serial() && kept.suite == value.suite &&
      (!xaes || std::equal(kept.prefix.begin(), kept.prefix.end(), value.nonce.begin())))
    return;
  kept.serial = 0;  // until all has worked
  if (xaes) {
    const base::Bytes prefix = value.nonce.first(crypto::kXaesPrefixSize);
    base::Copy(kept.prefix, prefix);
    kept.gcm.SetKey(dek.derived().For(prefix, [&](base::MutableBytes key) { Derive(dek, prefix, key); }));
  } else {
    kept.gcm.SetKey(dek.gcm_key());
  }
  kept.suite = value.suite;
  kept.serial = dek.serial();
}

template <class Gcm>
bool Opener::OpenWith(Kept<Gcm>& kept, const Dek& dek, const envelope::Value& value, base::Bytes context,
                      base::MutableBytes plaintext) {
  KeyFor(kept, dek, value);
  return kept.gcm.Open(value.nonce.last(crypto::kGcmNonceSize), envelope::AadHead(value.suite, value.key_id),
                       context, value.ciphertext, value.tag, plaintext);
}

bool Opener::Open(const Dek& dek, const envelope::Value& value, base::Bytes context,
                  base::MutableBytes plaintext) {
  return value.ciphertext.size() <= crypto::kShortGcmMax ? OpenWith(short_, dek, value, context, plaintext)
                                                         : OpenWith(long_, dek, value, context, plaintext);
}

void Opener::EndTransaction() noexcept {
  short_.serial = long_.serial = deriver_serial_ = 0;
  short_.gcm.Clear();
  long_.gcm.Clear();
  deriver_.Clear();
}

}  // namespace trustpoint::keyring
