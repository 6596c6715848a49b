#include "crypto/ecdsa.hpp"

#include <openssl/bn.h>
#include <openssl/ec.h>

#include "base/error.hpp"
#include "crypto/openssl.hpp"

namespace trustpoint::crypto {
namespace {

using Signature = Owned<ECDSA_SIG, ECDSA_SIG_free>;
using Number = Owned<BIGNUM, BN_free>;

Number NumberFrom(base::Bytes bytes) {
  return Number(BN_bin2bn(bytes.data(), static_cast<int>(bytes.size()), nullptr));
}

}  // namespace

std::size_t EcdsaRawToDer(base::Bytes raw, base::MutableBytes der) {
  const CleanErrors errors;
  const std::size_t half = raw.size() / 2;
  if (half == 0 || raw.size() % 2 != 0 || half > 66 || der.size() < kMaxEcdsaDerSize)
    throw base::Error(base::ErrorCode::kInternal, "an ECDSA signature has another size");
  const Signature signature(ECDSA_SIG_new());
  Number r = NumberFrom(raw.first(half)), s = NumberFrom(raw.subspan(half));
  if (signature == nullptr || r == nullptr || s == nullptr ||
      ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1)
    ThrowOpenSsl("could not encode an ECDSA signature");
  (void)r.release();
  (void)s.release();
  std::uint8_t* end = der.data();
  const int size = i2d_ECDSA_SIG(signature.get(), &end);
  if (size <= 0) ThrowOpenSsl("could not encode an ECDSA signature");
  return static_cast<std::size_t>(size);
}

bool EcdsaDerToRaw(base::Bytes der, base::MutableBytes raw) {
  const CleanErrors errors;
  const std::uint8_t* end = der.data();
  const Signature signature(d2i_ECDSA_SIG(nullptr, &end, static_cast<long>(der.size())));
  if (signature == nullptr || end != der.data() + der.size()) return false;
  const int half = static_cast<int>(raw.size() / 2);
  return BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), raw.data(), half) == half &&
         BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), raw.data() + half, half) == half;
}

}  // namespace trustpoint::crypto
