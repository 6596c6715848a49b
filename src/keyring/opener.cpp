#include "keyring/opener.hpp"

#include <cstring>

namespace trustpoint::keyring {
namespace {

base::Bytes PrefixOf(const envelope::Value& value) { return value.nonce.first(crypto::kXaesPrefixSize); }

// Whether what has this suite and prefix is for the value, if it is for the value's DEK; and makes it so.
bool IsFor(const auto& key, const envelope::Value& value) {
  return key.suite == value.suite &&
         (value.suite == envelope::Suite::kAes256Gcm ||
          std::memcmp(key.prefix.data(), PrefixOf(value).data(), crypto::kXaesPrefixSize) == 0);
}
void Name(auto& key, const envelope::Value& value) {
  key.suite = value.suite;
  base::Copy(key.prefix, PrefixOf(value));
}

}  // namespace

base::Bytes Opener::KeyOf(const Dek& dek, const envelope::Value& value) {
  if (value.suite == envelope::Suite::kAes256Gcm) return dek.gcm_key();
  if (deriver_serial_ != dek.serial()) {
    deriver_serial_ = 0;  // until all has worked
    crypto::SetKey(deriver_, dek.kept().decrypting, dek.xaes_key());
    deriver_serial_ = dek.serial();
  }
  deriver_.Derive(PrefixOf(value), derived_.bytes());
  return derived_.view();
}

void Opener::SetKey(crypto::GcmOpener& gcm, const Dek& dek, const envelope::Value& value) {
  gcm.SetKey(KeyOf(dek, value));
}

void Opener::SetKey(crypto::ShortGcmOpener& gcm, const Dek& dek, const envelope::Value& value) {
  auto& last = dek.kept().last;
  if (IsFor(last, value) && gcm.SetKey(last.key)) return;
  gcm.SetKey(KeyOf(dek, value));
  gcm.Keep(&last.key);
  Name(last, value);
}

template <class Gcm>
void Opener::KeyFor(Keyed<Gcm>& keyed, const Dek& dek, const envelope::Value& value) {
  if (keyed.serial == dek.serial() && IsFor(keyed, value)) return;
  keyed.serial = 0;  // until all has worked
  SetKey(keyed.gcm, dek, value);
  Name(keyed, value);
  keyed.serial = dek.serial();
}

template <class Gcm>
bool Opener::OpenWith(Keyed<Gcm>& keyed, const Dek& dek, const envelope::Value& value, base::Bytes context,
                      base::MutableBytes plaintext) {
  KeyFor(keyed, dek, value);
  return keyed.gcm.Open(value.nonce.last(crypto::kGcmNonceSize), envelope::AadHead(value.suite, value.key_id),
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
  base::Wipe(derived_.bytes());
}

}  // namespace trustpoint::keyring
