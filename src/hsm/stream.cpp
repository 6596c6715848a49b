#include "hsm/stream.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "hsm/mechanism.hpp"
#include "pkcs11/one_shot.hpp"

namespace trustpoint::hsm {
namespace {

constexpr std::size_t kDigestPiece = 256 * 1024;
constexpr std::size_t kRandomPiece = 16 * 1024;

template <class Span>
Span TakePiece(Span* rest, std::size_t most) {
  const Span piece = rest->first(std::min(rest->size(), most));
  *rest = rest->subspan(piece.size());
  return piece;
}

}  // namespace

bool DigestInToken(pkcs11::Session& session, crypto::Hash hash, base::Bytes data, Stop stop,
                   crypto::Digest* digest) {
  CK_FUNCTION_LIST* api = session.api();
  pkcs11::NamedMechanism mechanism = {{MechanismOf(hash), nullptr, 0}};
  pkcs11::RequireMechanism(session, mechanism.mechanism.mechanism, CKF_DIGEST);
  pkcs11::CheckInit(session, api->C_DigestInit(session.handle(), &mechanism.mechanism), "C_DigestInit",
                    mechanism);
  bool stopped = false;
  while (!data.empty() && !stopped) {
    const base::Bytes piece = TakePiece(&data, kDigestPiece);
    session.Check(api->C_DigestUpdate(session.handle(), const_cast<CK_BYTE*>(piece.data()), piece.size()),
                  "C_DigestUpdate");
    stopped = stop();
  }
  // Also when stopped: an operation that is left open would bar the next.
  base::Block<crypto::kMaxHashSize> out{};
  CK_ULONG size = out.size();
  session.Check(api->C_DigestFinal(session.handle(), out.data(), &size), "C_DigestFinal");
  if (stopped) return false;
  if (size != crypto::HashSize(hash))
    throw base::Error(base::ErrorCode::kTokenRefused, "the token's hash has another size");
  *digest = crypto::DigestFrom(hash, base::Bytes(out).first(size));
  return true;
}

bool RandomFromToken(pkcs11::Session& session, base::MutableBytes out, Stop stop) {
  while (!out.empty()) {
    const base::MutableBytes piece = TakePiece(&out, kRandomPiece);
    const CK_RV rv = session.api()->C_GenerateRandom(session.handle(), piece.data(), piece.size());
    if (rv == CKR_RANDOM_NO_RNG || rv == CKR_FUNCTION_NOT_SUPPORTED)
      throw base::Error(base::ErrorCode::kTokenRefused, "the token has no generator of random bytes",
                        "C_GenerateRandom");
    session.Check(rv, "C_GenerateRandom");
    if (stop()) return false;
  }
  return true;
}

}  // namespace trustpoint::hsm
