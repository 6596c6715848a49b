#include "pkcs11/one_shot.hpp"

#include <string>

#include "base/error.hpp"
#include "pkcs11/mechanism_names.hpp"
#include "pkcs11/retry.hpp"
#include "pkcs11/rv.hpp"
#include "pkcs11/token.hpp"

namespace trustpoint::pkcs11 {
namespace {

using base::Error;
using base::ErrorCode;

constexpr CK_RV kAeadDecryptFailed = 0x42;  // of PKCS#11 3.0, not in the header

Error NotSupported(std::string_view name, std::string_view detail, std::string_view hint) {
  return Error(ErrorCode::kTokenRefused, "the token does not support " + std::string(name), detail, hint);
}

bool MeansMechanism(CK_RV rv) {
  return rv == CKR_MECHANISM_INVALID || rv == CKR_MECHANISM_PARAM_INVALID || rv == CKR_ARGUMENTS_BAD ||
         rv == CKR_FUNCTION_NOT_SUPPORTED || rv == CKR_DOMAIN_PARAMS_INVALID || rv == CKR_CURVE_NOT_SUPPORTED;
}

bool MeansData(CK_RV rv) {
  return rv == CKR_ENCRYPTED_DATA_INVALID || rv == CKR_ENCRYPTED_DATA_LEN_RANGE || rv == CKR_DATA_INVALID ||
         rv == CKR_DATA_LEN_RANGE || rv == kAeadDecryptFailed;
}

// Modules want an address for no bytes too.
CK_BYTE* Address(base::Bytes bytes) {
  static CK_BYTE nothing = 0;
  return bytes.empty() ? &nothing : const_cast<CK_BYTE*>(bytes.data());
}

std::size_t Written(CK_ULONG size, base::MutableBytes out) {
  if (size > out.size()) throw Error(ErrorCode::kTokenRefused, "the token wrote more than it had room for");
  return size;
}

}  // namespace

void RequireMechanism(Session& session, CK_MECHANISM_TYPE type, CK_FLAGS needed) {
  if (HasMechanism(session.module(), session.slot(), type, needed)) return;
  throw NotSupported(MechanismName(type), {}, "tp_hsm_mechanisms() lists what the token supports.");
}

void CheckInit(Session& session, CK_RV rv, const char* function, const NamedMechanism& mechanism) {
  if (MeansMechanism(rv))
    throw NotSupported(
        mechanism.name.empty() ? MechanismName(mechanism.mechanism.mechanism) : std::string(mechanism.name),
        std::string(function) + ": " + RvName(rv),
        "tp_hsm_mechanisms() lists what the token supports, tp_key_attributes() what a key is limited to "
        "(CKA_ALLOWED_MECHANISMS).")
        .WithTokenCode(rv);
  session.Check(rv, function);
}

std::size_t SignOnce(Session& session, NamedMechanism mechanism, CK_OBJECT_HANDLE key, base::Bytes data,
                     base::MutableBytes out) {
  CK_FUNCTION_LIST* api = session.api();
  CheckInit(session, api->C_SignInit(session.handle(), &mechanism.mechanism, key), "C_SignInit", mechanism);
  CK_ULONG size = out.size();
  session.Check(api->C_Sign(session.handle(), Address(data), data.size(), out.data(), &size), "C_Sign");
  return Written(size, out);
}

std::size_t EncryptOnce(Session& session, NamedMechanism mechanism, CK_OBJECT_HANDLE key, base::Bytes data,
                        base::MutableBytes out) {
  CK_FUNCTION_LIST* api = session.api();
  CheckInit(session, api->C_EncryptInit(session.handle(), &mechanism.mechanism, key), "C_EncryptInit",
            mechanism);
  CK_ULONG size = out.size();
  session.Check(api->C_Encrypt(session.handle(), Address(data), data.size(), out.data(), &size), "C_Encrypt");
  return Written(size, out);
}

std::optional<std::size_t> DecryptOnce(Session& session, NamedMechanism mechanism, CK_OBJECT_HANDLE key,
                                       base::Bytes data, base::MutableBytes out) {
  CK_FUNCTION_LIST* api = session.api();
  CheckInit(session, api->C_DecryptInit(session.handle(), &mechanism.mechanism, key), "C_DecryptInit",
            mechanism);
  CK_ULONG size = out.size();
  const CK_RV rv = api->C_Decrypt(session.handle(), Address(data), data.size(), out.data(), &size);
  if (rv != CKR_OK) base::Wipe(out);
  if (MeansData(rv) || (IsVague(rv) && TokenAnswers(session.module(), session.slot()))) return std::nullopt;
  session.Check(rv, "C_Decrypt");
  return Written(size, out);
}

}  // namespace trustpoint::pkcs11
