// Objects of a token: templates, exact search, attributes, destruction.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "pkcs11/cryptoki.hpp"
#include "pkcs11/session.hpp"

namespace trustpoint::pkcs11 {

// A list of attributes that owns what they point to, except what AddSecret adds. It moves, but has no copy.
class Template {
 public:
  Template() = default;
  Template(Template&&) = default;
  Template& operator=(Template&&) = default;

  Template& Add(CK_ATTRIBUTE_TYPE type, bool value);
  Template& Add(CK_ATTRIBUTE_TYPE type, CK_ULONG value);
  Template& Add(CK_ATTRIBUTE_TYPE type, base::Bytes value);
  Template& Add(CK_ATTRIBUTE_TYPE type, std::string_view value);
  // Without it a literal would become a bool.
  Template& Add(CK_ATTRIBUTE_TYPE type, const char* value) { return Add(type, std::string_view(value)); }
  // Not copied: the bytes must outlive the template.
  Template& AddSecret(CK_ATTRIBUTE_TYPE type, base::Bytes value);
  // Takes the attribute out, where a module does not know it.
  void Remove(CK_ATTRIBUTE_TYPE type);

  CK_ATTRIBUTE* data() { return attributes_.data(); }
  CK_ULONG size() const { return attributes_.size(); }

 private:
  std::vector<CK_ATTRIBUTE> attributes_;
  std::deque<std::vector<std::uint8_t>> owned_;  // a deque: addresses stay
};

// Those that match, at most limit.
std::vector<CK_OBJECT_HANDLE> Find(Session& session, Template& search, std::size_t limit);
// All that match, however many. Throws kTokenRefused when the module finds no end.
std::vector<CK_OBJECT_HANDLE> FindAll(Session& session, Template& search);
// Exactly one. Throws kNotFound or kExists; what ("key \"ca\"") names it in the message.
CK_OBJECT_HANDLE FindOne(Session& session, Template& search, std::string_view what);

// nullopt: the module does not know the attribute, or will not show it.
std::optional<bool> ReadBool(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);
std::optional<CK_ULONG> ReadUlong(Session& session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);
std::optional<std::vector<std::uint8_t>> ReadBytes(Session& session, CK_OBJECT_HANDLE object,
                                                   CK_ATTRIBUTE_TYPE type);

void Destroy(Session& session, CK_OBJECT_HANDLE object);

// A session object that is destroyed when it goes out of scope, whatever happens.
class TemporaryObject {
 public:
  TemporaryObject(Session& session, CK_OBJECT_HANDLE handle) noexcept : session_(session), handle_(handle) {}
  ~TemporaryObject();
  TemporaryObject(const TemporaryObject&) = delete;
  TemporaryObject& operator=(const TemporaryObject&) = delete;
  CK_OBJECT_HANDLE handle() const noexcept { return handle_; }

 private:
  Session& session_;
  CK_OBJECT_HANDLE handle_;
};

}  // namespace trustpoint::pkcs11
