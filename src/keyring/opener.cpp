#include "keyring/opener.hpp"

#include <algorithm>

#include "base/secret.hpp"

namespace trustpoint::keyring {

void Opener::KeyFor(const Dek& dek, const envelope::Value& value) {
  const bool xaes = value.suite == envelope::Suite::kXaes256Gcm;
  if (gcm_serial_ == dek.serial() && suite_ == value.suite &&
      (!xaes || std::equal(prefix_.begin(), prefix_.end(), value.nonce.begin())))
    return;
  gcm_serial_ = 0;  // until all has worked
  if (xaes) {
    if (deriver_serial_ != dek.serial()) {
      deriver_serial_ = 0;
      deriver_.SetKey(dek.xaes_key());
      deriver_serial_ = dek.serial();
    }
    base::Copy(prefix_, value.nonce.first(crypto::kXaesPrefixSize));
    base::Secret derived(crypto::kKeySize);
    deriver_.Derive(prefix_, derived.bytes());
    gcm_.SetKey(derived.view());
  } else {
    gcm_.SetKey(dek.gcm_key());
  }
  suite_ = value.suite;
  gcm_serial_ = dek.serial();
}

bool Opener::Open(const Dek& dek, const envelope::Value& value, base::Bytes context,
                  base::MutableBytes plaintext) {
  KeyFor(dek, value);
  return gcm_.Open(value.nonce.last(crypto::kGcmNonceSize), envelope::AadHead(value.suite, value.key_id),
                   context, value.ciphertext, value.tag, plaintext);
}

void Opener::EndTransaction() noexcept {
  gcm_serial_ = deriver_serial_ = 0;
  gcm_.Clear();
  deriver_.Clear();
}

}  // namespace trustpoint::keyring
