#include "crypto/xaes.hpp"

#include "base/error.hpp"
#include "crypto/gcm.hpp"
#include "crypto/openssl.hpp"

namespace trustpoint::crypto {
namespace {

// CMAC's subkey for whole blocks: twice the block, as a number of GF(2^128), without a branch on a secret.
void Double(base::Block<kAesBlockSize>& block) {
  const unsigned carry = block[0] >> 7;
  for (std::size_t i = 0; i + 1 < block.size(); ++i)
    block[i] = static_cast<std::uint8_t>(block[i] << 1 | block[i + 1] >> 7);
  block.back() = static_cast<std::uint8_t>(block.back() << 1 ^ carry * 0x87);
}

}  // namespace

bool XaesDeriver::Key(base::Bytes key) {
  subkey_ = {};
  if (!aes_.SetKey(key) || !aes_.Encrypt(subkey_.data(), subkey_.data(), subkey_.size())) return false;
  aes_.ClearRegisters();
  Double(subkey_);
  return true;
}

void XaesDeriver::SetKey(base::Bytes key) {
  if (key.size() != kKeySize)
    throw base::Error(base::ErrorCode::kInternal, "an XAES-256-GCM key has 32 bytes");
  const bool good = Key(key);  // throws before there is a key to clear
  keyed_ = true;
  if (good) return;
  Clear();
  ThrowOpenSsl("could not set an XAES-256-GCM key");
}

void XaesDeriver::Keep(ExpandedKey* key) {
  if (!keyed_) throw base::Error(base::ErrorCode::kInternal, "no key to keep");
  key->Take(serial_, {aes_.memory(), subkey_});
}

bool XaesDeriver::SetKey(const ExpandedKey& key) noexcept {
  if (!key.Give(serial_, {aes_.memory(), subkey_})) return false;
  return keyed_ = true;
}

// Each half is the CMAC of one block, 00 counter 'X' 00 prefix: a counter-mode KDF of two blocks. They are
// made where the result goes, as with the prefix they are the subkey.
void XaesDeriver::Derive(base::Bytes prefix, base::MutableBytes derived) {
  if (!keyed_) throw base::Error(base::ErrorCode::kInternal, "key derivation without a key");
  if (prefix.size() != kXaesPrefixSize || derived.size() != kKeySize)
    throw base::Error(base::ErrorCode::kInternal, "key derivation with a buffer of the wrong size");
  for (std::uint8_t counter = 1; counter <= 2; ++counter) {
    std::uint8_t* const half = derived.data() + (counter - 1) * kAesBlockSize;
    const std::uint8_t head[] = {0, counter, 'X', 0};
    base::Copy({half, sizeof head}, head);
    base::Copy({half + sizeof head, kXaesPrefixSize}, prefix);
    base::Xor({half, kAesBlockSize}, {half, kAesBlockSize}, subkey_);
  }
  const bool good = aes_.Encrypt(derived.data(), derived.data(), derived.size());
  aes_.ClearRegisters();
  if (good) return;
  base::Wipe(derived);
  ThrowOpenSsl("key derivation failed");
}

void XaesDeriver::Clear() noexcept {
  if (!keyed_) return;
  keyed_ = false;
  aes_.Clear();
  base::Wipe(subkey_);
}

}  // namespace trustpoint::crypto
