#include "pkcs11/object.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string>

#include "base/error.hpp"
#include "pkcs11/token.hpp"

namespace trustpoint::pkcs11 {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::size_t kMostObjects = 100'000;

bool IsHidden(CK_RV rv) { return rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE; }

// False: hidden or unknown. Else the attribute is in *out, which must have the size of the type.
bool ReadFixed(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, void* out, CK_ULONG size) {
  CK_ATTRIBUTE attribute = {type, out, size};
  const CK_RV rv = session.api()->C_GetAttributeValue(session.handle(), object, &attribute, 1);
  if (IsHidden(rv)) return false;
  session.Check(rv, "C_GetAttributeValue");
  return attribute.ulValueLen == size;
}

// Ends the search also when it is left by an exception: an open one would bar the next.
class Search {
 public:
  Search(Session& session, Template& search) : session_(session) {
    session.Check(session.api()->C_FindObjectsInit(session.handle(), search.data(), search.size()),
                  "C_FindObjectsInit");
  }
  ~Search() { session_.api()->C_FindObjectsFinal(session_.handle()); }
  Search(const Search&) = delete;
  Search& operator=(const Search&) = delete;

  // Some of the next ones, at most limit; none: that was all.
  std::span<const CK_OBJECT_HANDLE> Next(std::size_t limit) {
    const std::size_t room = std::min(limit, some_.size());
    CK_ULONG count = 0;
    session_.Check(session_.api()->C_FindObjects(session_.handle(), some_.data(), room, &count),
                   "C_FindObjects");
    return std::span(some_).first(std::min(count, room));  // a module may count more than it has room for
  }

 private:
  Session& session_;
  std::array<CK_OBJECT_HANDLE, 256> some_;
};

// "Nothing found" is also what SoftHSM says when its token folder is gone.
void CheckTokenThere(Session& session) {
  CK_TOKEN_INFO info = {};
  session.Check(AskToken(*session.api(), session.slot(), &info), "C_GetTokenInfo");
}

}  // namespace

Template& Template::Add(CK_ATTRIBUTE_TYPE type, base::Bytes value) {
  owned_.emplace_back(value.begin(), value.end());
  attributes_.push_back({type, owned_.back().data(), owned_.back().size()});
  return *this;
}

Template& Template::Add(CK_ATTRIBUTE_TYPE type, bool value) {
  const CK_BBOOL flag = value ? CK_TRUE : CK_FALSE;
  return Add(type, base::Bytes(&flag, 1));
}

Template& Template::Add(CK_ATTRIBUTE_TYPE type, CK_ULONG value) {
  return Add(type, base::Bytes(reinterpret_cast<const std::uint8_t*>(&value), sizeof value));
}

Template& Template::Add(CK_ATTRIBUTE_TYPE type, std::string_view value) {
  return Add(type, base::AsBytes(value));
}

Template& Template::AddSecret(CK_ATTRIBUTE_TYPE type, base::Bytes value) {
  attributes_.push_back({type, const_cast<std::uint8_t*>(value.data()), value.size()});
  return *this;
}

void Template::Remove(CK_ATTRIBUTE_TYPE type) {
  std::erase_if(attributes_, [type](const CK_ATTRIBUTE& attribute) { return attribute.type == type; });
}

std::vector<CK_OBJECT_HANDLE> Find(Session& session, Template& search, std::size_t limit) {
  std::vector<CK_OBJECT_HANDLE> found;
  {
    Search running(session, search);
    // Some modules return less than they have, so only an empty answer ends it.
    while (found.size() < limit) {
      const auto more = running.Next(limit - found.size());
      if (more.empty()) break;
      found.insert(found.end(), more.begin(), more.end());
    }
  }
  if (found.empty()) CheckTokenThere(session);
  return found;
}

std::vector<CK_OBJECT_HANDLE> FindAll(Session& session, Template& search) {
  auto found = Find(session, search, kMostObjects + 1);
  if (found.size() > kMostObjects)
    throw Error(ErrorCode::kTokenRefused,
                "the token lists more than " + std::to_string(kMostObjects) + " objects in one search");
  return found;
}

CK_OBJECT_HANDLE FindOne(Session& session, Template& search, std::string_view what) {
  const auto found = Find(session, search, 2);
  if (found.empty()) throw Error(ErrorCode::kNotFound, "the token has no " + std::string(what));
  if (found.size() > 1)
    throw Error(ErrorCode::kExists, "the token has more than one " + std::string(what), {},
                "Labels need not be unique in a token: remove or rename the other one.");
  return found[0];
}

std::optional<bool> ReadBool(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  CK_BBOOL value = CK_FALSE;
  if (!ReadFixed(session, object, type, &value, sizeof value)) return std::nullopt;
  return value != CK_FALSE;
}

std::optional<CK_ULONG> ReadUlong(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type) {
  CK_ULONG value = 0;
  if (!ReadFixed(session, object, type, &value, sizeof value)) return std::nullopt;
  return value;
}

std::optional<std::vector<std::uint8_t>> ReadBytes(Session& session, CK_OBJECT_HANDLE object,
                                                   CK_ATTRIBUTE_TYPE type) {
  std::vector<std::uint8_t> value(
      1024);  // room for all but large certificates: one call, no question of length
  CK_ATTRIBUTE attribute = {type, value.data(), value.size()};
  CK_RV rv = session.api()->C_GetAttributeValue(session.handle(), object, &attribute, 1);
  if (rv == CKR_BUFFER_TOO_SMALL) {
    value.resize(64 * 1024);
    attribute = {type, value.data(), value.size()};
    rv = session.api()->C_GetAttributeValue(session.handle(), object, &attribute, 1);
  }
  if (IsHidden(rv)) return std::nullopt;
  session.Check(rv, "C_GetAttributeValue");
  if (attribute.ulValueLen > value.size()) return std::nullopt;  // CK_UNAVAILABLE_INFORMATION
  value.resize(attribute.ulValueLen);
  return value;
}

void Destroy(Session& session, CK_OBJECT_HANDLE object) {
  session.Check(session.api()->C_DestroyObject(session.handle(), object), "C_DestroyObject");
}

TemporaryObject::~TemporaryObject() { session_.api()->C_DestroyObject(session_.handle(), handle_); }

}  // namespace trustpoint::pkcs11
