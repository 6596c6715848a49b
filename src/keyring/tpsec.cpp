#include "keyring/tpsec.hpp"

#include "crypto/random.hpp"

namespace trustpoint::keyring {

using envelope::TpsecAad;
using envelope::TpsecForm;

void TpsecCipher::Seal(const Dek& dek, base::Bytes plaintext, base::MutableBytes payload) {
  if (sealer_serial_ != dek.serial()) {
    sealer_serial_ = 0;
    sealer_.SetKey(dek.tpsec_key());
    sealer_serial_ = dek.serial();
  }
  const envelope::TpsecSlots slots = envelope::LayTpsec(payload);
  crypto::Random(slots.nonce);
  sealer_.Seal(slots.nonce, TpsecAad(TpsecForm::kToday), {}, plaintext, slots.ciphertext, slots.tag);
}

bool TpsecCipher::Open(const Dek& dek, const envelope::TpsecField& field, base::MutableBytes plaintext) {
  if (opener_serial_ != dek.serial()) {
    opener_serial_ = 0;
    opener_.SetKey(dek.tpsec_key());
    opener_serial_ = dek.serial();
  }
  return opener_.Open(field.nonce, TpsecAad(field.form), {}, field.ciphertext, field.tag, plaintext);
}

void TpsecCipher::EndTransaction() noexcept {
  sealer_serial_ = opener_serial_ = 0;
  sealer_.Clear();
  opener_.Clear();
}

}  // namespace trustpoint::keyring
