// KeyCache: a search costs as much as the token holds objects, so what was found is kept while handles live.
#include <algorithm>

#include "hsm/guard.hpp"
#include "hsm/token_key.hpp"
#include "pkcs11/object.hpp"

namespace trustpoint::hsm {
namespace {

constexpr std::size_t kMostKeys = 256;

std::string PlaceOf(const KeyRef& ref) {
  if (ref.id.empty()) return "l" + std::string(ref.label);
  return "i" + std::string(base::AsText(ref.id));
}

// Whether the object still has the label by which it was found: another process may have given it to another.
bool StillNamed(pkcs11::Session& session, const TokenKey& key, std::string_view label) {
  const CK_OBJECT_HANDLE object = key.secret != CK_INVALID_HANDLE ? key.secret : key.public_object;
  const auto now = pkcs11::ReadBytes(session, object, CKA_LABEL);
  return now && std::ranges::equal(*now, base::AsBytes(label));
}

}  // namespace

const TokenKey& KeyCache::Find(pkcs11::Session& session, std::uint64_t epoch, const KeyRef& ref) {
  RefuseKek(ref.id, ref.label);
  if (epoch != epoch_ || keys_.size() >= kMostKeys) keys_.clear();
  epoch_ = epoch;
  const std::string place = PlaceOf(ref);
  const auto found = keys_.find(place);
  if (found != keys_.end()) {
    if (!ref.id.empty() || StillNamed(session, found->second, ref.label)) return found->second;
    keys_.erase(found);
  }
  return keys_.emplace(place, FindKey(session, ref)).first->second;
}

}  // namespace trustpoint::hsm
