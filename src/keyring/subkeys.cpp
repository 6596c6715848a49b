#include "keyring/subkeys.hpp"

#include "crypto/kdf.hpp"

namespace trustpoint::keyring {
namespace {

std::uint64_t NextSerial() {
  static std::uint64_t last = 0;
  return ++last;
}

}  // namespace

Binding BindingOf(const DekRow& row) {
  base::Block<envelope::kMaxBindingInputSize> input;
  const std::size_t size =
      envelope::WriteBindingInput(row.id, row.purpose, base::AsBytes(row.name_view()), row.kek_id, input);
  return crypto::Sha256({base::Bytes(input).first(size)});
}

base::Block<32> CheckValue(base::Bytes dek, const Binding& binding) {
  base::Secret key(crypto::kSha256Size);
  crypto::HkdfSha256(dek, "trustpoint check v1", key.bytes());
  return crypto::HmacSha256(key.view(), {binding});
}

Dek::Dek(base::Secret keys) : keys_(std::move(keys)), serial_(NextSerial()) {}

Dek Dek::FromKeys(base::Bytes keys) { return Dek(base::Secret(keys)); }

Dek::Dek(envelope::Purpose purpose, base::Bytes dek) : serial_(NextSerial()) {
  switch (purpose) {
    case envelope::Purpose::kData:
      keys_ = base::Secret(kMaxKeysSize);
      crypto::HkdfSha256(dek, "trustpoint data xaes-256-gcm v1", keys_.bytes().subspan(0, 32));
      crypto::HkdfSha256(dek, "trustpoint data aes-256-gcm v1", keys_.bytes().subspan(32, 32));
      break;
    case envelope::Purpose::kIndex:
      keys_ = base::Secret(32);
      crypto::HkdfSha256(dek, "trustpoint index v1", keys_.bytes());
      break;
    case envelope::Purpose::kTpsec:
      keys_ = base::Secret(dek);
      break;
  }
}

}  // namespace trustpoint::keyring
