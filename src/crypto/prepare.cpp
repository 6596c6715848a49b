#include "crypto/prepare.hpp"

#include "base/secret.hpp"
#include "crypto/gcm.hpp"
#include "crypto/kdf.hpp"
#include "crypto/short_gcm.hpp"
#include "crypto/xaes.hpp"

namespace trustpoint::crypto {
namespace {

constexpr base::Block<32> kZeros{};

// Keyed, used once and emptied.
template <class Sealer, class Opener>
void Use() {
  const base::Bytes nonce = base::Bytes(kZeros).first(kGcmNonceSize);
  std::uint8_t tag[kTagSize];
  Sealer sealer;
  sealer.SetKey(kZeros);
  sealer.Seal(nonce, {}, {}, {}, {}, tag);
  sealer.Clear();
  Opener opener;
  opener.SetKey(kZeros);
  (void)opener.Open(nonce, {}, {}, {}, tag, {});
  opener.Clear();
}

}  // namespace

void Prepare() noexcept try {
  const base::Secret first(std::size_t{1});  // maps the memory for keys, which stays empty here
  base::Block<32> derived;
  HkdfSha256(kZeros, "", derived);
  Sha256({});
  HmacSha256(kZeros, {});
  XaesDeriver deriver;
  deriver.SetKey(kZeros);
  deriver.Derive(base::Bytes(kZeros).first(12), derived);
  Use<GcmSealer, GcmOpener>();
  Use<ShortGcmSealer, ShortGcmOpener>();
} catch (...) {  // the process that needs it will say what is wrong
}

}  // namespace trustpoint::crypto
