#include "pkcs11/key_wrap.hpp"

#include <string>
#include <utility>

#include "base/error.hpp"
#include "pkcs11/object.hpp"
#include "pkcs11/retry.hpp"
#include "pkcs11/single_block_wrap.hpp"
#include "pkcs11/token.hpp"

namespace trustpoint::pkcs11 {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::size_t kTag = 8;  // what the wrap adds
constexpr std::size_t kMaxPayload = 256;

bool IsPayloadSize(std::size_t size) { return size >= 16 && size <= kMaxPayload && size % 8 == 0; }

// The answers of a token that means the wrapped bytes and nothing else.
bool NamesDamage(CK_RV rv) {
  return rv == CKR_WRAPPED_KEY_INVALID || rv == CKR_WRAPPED_KEY_LEN_RANGE ||
         rv == CKR_ENCRYPTED_DATA_INVALID || rv == CKR_ENCRYPTED_DATA_LEN_RANGE;
}

bool RefusesTemplate(CK_RV rv) {
  return rv == CKR_ATTRIBUTE_READ_ONLY || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
         rv == CKR_ATTRIBUTE_VALUE_INVALID || rv == CKR_TEMPLATE_INCOMPLETE ||
         rv == CKR_TEMPLATE_INCONSISTENT;
}

// A session object that can be read and wrapped. Not private: SoftHSM would encrypt its value under the
// token's own key, which costs more than the unwrapping and protects nothing for the microseconds that the
// object lives.
Template GenericSecret() {
  Template attributes;
  attributes.Add(CKA_CLASS, CK_ULONG{CKO_SECRET_KEY})
      .Add(CKA_KEY_TYPE, CK_ULONG{CKK_GENERIC_SECRET})
      .Add(CKA_TOKEN, false)
      .Add(CKA_PRIVATE, false)
      .Add(CKA_SENSITIVE, false)
      .Add(CKA_EXTRACTABLE, true);
  return attributes;
}

// For modules that set the rest on their own and refuse to hear of it.
Template BareGenericSecret() {
  Template attributes;
  attributes.Add(CKA_CLASS, CK_ULONG{CKO_SECRET_KEY}).Add(CKA_KEY_TYPE, CK_ULONG{CKK_GENERIC_SECRET});
  return attributes;
}

std::vector<std::uint8_t> WrapAsKey(Session& session, CK_OBJECT_HANDLE kek, base::Bytes payload) {
  CK_FUNCTION_LIST* api = session.api();
  Template attributes = GenericSecret();
  attributes.AddSecret(CKA_VALUE, payload);
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
  session.Check(api->C_CreateObject(session.handle(), attributes.data(), attributes.size(), &handle),
                "C_CreateObject");
  const TemporaryObject object(session, handle);

  CK_MECHANISM mechanism = {CKM_AES_KEY_WRAP, nullptr, 0};
  std::vector<std::uint8_t> wrapped(kMaxPayload + 2 * kTag);
  CK_ULONG size = wrapped.size();
  session.Check(api->C_WrapKey(session.handle(), &mechanism, kek, object.handle(), wrapped.data(), &size),
                "C_WrapKey");
  if (size != payload.size() + kTag)
    throw Error(ErrorCode::kTokenRefused, "the token's CKM_AES_KEY_WRAP is not RFC 3394",
                "It returned " + std::to_string(size) + " bytes for " + std::to_string(payload.size()) + ".");
  wrapped.resize(size);
  return wrapped;
}

CK_RV UnwrapInto(Session& session, CK_OBJECT_HANDLE kek, CK_MECHANISM_TYPE type, base::Bytes wrapped,
                 Template attributes, CK_OBJECT_HANDLE* handle) {
  CK_MECHANISM mechanism = {type, nullptr, 0};
  return session.api()->C_UnwrapKey(session.handle(), &mechanism, kek, const_cast<CK_BYTE*>(wrapped.data()),
                                    wrapped.size(), attributes.data(), attributes.size(), handle);
}

// At most max bytes.
base::Secret ReadValue(Session& session, CK_OBJECT_HANDLE object, std::size_t max) {
  base::Secret buffer(max);
  CK_ATTRIBUTE value = {CKA_VALUE, buffer.bytes().data(), buffer.size()};
  session.Check(session.api()->C_GetAttributeValue(session.handle(), object, &value, 1),
                "C_GetAttributeValue");
  if (value.ulValueLen == 0 || value.ulValueLen > max)  // the TPM's module says CKR_OK and gives nothing
    throw Error(ErrorCode::kTokenRefused, "the token does not give an unwrapped key out");
  return value.ulValueLen == max ? std::move(buffer) : base::Secret(buffer.view().first(value.ulValueLen));
}

// Overwrites what the module's functions left on the stack: OpenSSL's key unwrap, under SoftHSM, leaves 8
// bytes of the key there. Its heap is clean.
[[gnu::noinline]] void WipeStack() {
  std::uint8_t below[16 * 1024];
  base::Wipe(below);
}

}  // namespace

bool SaysDamaged(Session& session, CK_RV rv) {
  // SoftHSM's answer to damaged bytes is that of a broken token; the token itself tells which it is.
  return NamesDamage(rv) || (IsVague(rv) && TokenAnswers(session.module(), session.slot()));
}

WrapMethod BestWrapMethod(Session& session) {
  Module& module = session.module();
  if (HasMechanism(module, session.slot(), CKM_AES_KEY_WRAP, CKF_WRAP | CKF_UNWRAP))
    return WrapMethod::kKeyWrap;
  if (HasMechanism(module, session.slot(), CKM_AES_ECB, CKF_ENCRYPT | CKF_DECRYPT))
    return WrapMethod::kSingleBlocks;
  throw Error(ErrorCode::kTokenRefused, "the token cannot wrap keys",
              "It has neither CKM_AES_KEY_WRAP nor CKM_AES_ECB.");
}

std::vector<std::uint8_t> WrapBytes(Session& session, CK_OBJECT_HANDLE kek, WrapMethod method,
                                    base::Bytes payload) {
  if (!IsPayloadSize(payload.size()))
    throw Error(ErrorCode::kInternal, "a payload of this size cannot be wrapped");
  return method == WrapMethod::kKeyWrap ? WrapAsKey(session, kek, payload)
                                        : WrapByBlocks(session, kek, payload);
}

base::Secret UnwrapByMechanism(Session& session, CK_OBJECT_HANDLE kek, CK_MECHANISM_TYPE mechanism,
                               base::Bytes wrapped) {
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
  CK_RV rv = UnwrapInto(session, kek, mechanism, wrapped, GenericSecret(), &handle);
  if (RefusesTemplate(rv)) rv = UnwrapInto(session, kek, mechanism, wrapped, BareGenericSecret(), &handle);
  if (SaysDamaged(session, rv)) return {};
  session.Check(rv, "C_UnwrapKey");
  WipeStack();
  const TemporaryObject object(session, handle);
  return ReadValue(session, object.handle(), wrapped.size() - kTag);
}

base::Secret UnwrapBytes(Session& session, CK_OBJECT_HANDLE kek, WrapMethod method, base::Bytes wrapped) {
  if (wrapped.size() < kTag || !IsPayloadSize(wrapped.size() - kTag)) return {};
  return method == WrapMethod::kKeyWrap ? UnwrapByMechanism(session, kek, CKM_AES_KEY_WRAP, wrapped)
                                        : UnwrapByBlocks(session, kek, wrapped);
}

}  // namespace trustpoint::pkcs11
