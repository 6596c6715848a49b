#include "scripted_token.hpp"

#include <cstdlib>
#include <utility>

namespace trustpoint::test {
namespace {

ScriptedToken* current = nullptr;

}  // namespace

// The function that stands in the list for one member of CK_FUNCTION_LIST.
template <auto kMember>
struct Forward;

template <class... Args, CK_RV (*CK_FUNCTION_LIST::*kMember)(Args...)>
struct Forward<kMember> {
  static inline const char* name = nullptr;

  static CK_RV Call(Args... args) {
    CK_RV rv = CKR_OK;
    if (current->Meet(name, &rv)) return rv;
    rv = (current->inner_->*kMember)(args...);
    if (rv == CKR_OK) current->Edit(name, args...);
    return rv;
  }

  static void Put(CK_FUNCTION_LIST* list, const char* function) {
    name = function;
    list->*kMember = &Call;
  }
};

ScriptedToken::ScriptedToken(CK_FUNCTION_LIST* inner) : list_(*inner), inner_(inner) {
  if (current) std::abort();
  current = this;
#define PUT(function) Forward<&CK_FUNCTION_LIST::function>::Put(&list_, #function)
  PUT(C_Initialize);
  PUT(C_Finalize);
  PUT(C_GetInfo);
  PUT(C_GetSlotList);
  PUT(C_GetSlotInfo);
  PUT(C_GetTokenInfo);
  PUT(C_GetMechanismList);
  PUT(C_GetMechanismInfo);
  PUT(C_InitToken);
  PUT(C_InitPIN);
  PUT(C_SetPIN);
  PUT(C_OpenSession);
  PUT(C_CloseSession);
  PUT(C_GetSessionInfo);
  PUT(C_Login);
  PUT(C_Logout);
  PUT(C_CreateObject);
  PUT(C_DestroyObject);
  PUT(C_GetAttributeValue);
  PUT(C_SetAttributeValue);
  PUT(C_FindObjectsInit);
  PUT(C_FindObjects);
  PUT(C_FindObjectsFinal);
  PUT(C_EncryptInit);
  PUT(C_Encrypt);
  PUT(C_DecryptInit);
  PUT(C_Decrypt);
  PUT(C_DigestInit);
  PUT(C_DigestUpdate);
  PUT(C_DigestFinal);
  PUT(C_SignInit);
  PUT(C_Sign);
  PUT(C_GenerateKey);
  PUT(C_GenerateKeyPair);
  PUT(C_WrapKey);
  PUT(C_UnwrapKey);
  PUT(C_GenerateRandom);
#undef PUT
}

ScriptedToken::~ScriptedToken() { current = nullptr; }

bool ScriptedToken::Meet(const std::string& function, CK_RV* rv) {
  const int call = ++calls_[function];
  for (const Rule& rule : rules_[function]) {
    if (call < rule.first || call > rule.last) continue;
    if (!rule.action) {
      *rv = rule.rv;
      return true;
    }
    const auto action = rule.action;  // it may call Forget
    action();
    break;
  }
  return false;
}

void ScriptedToken::Answer(const std::string& function, CK_RV rv, int nth, int times) {
  const int first = Calls(function) + nth;
  rules_[function].push_back({first, first + times - 1, rv, {}});
}

void ScriptedToken::Before(const std::string& function, std::function<void()> action, int nth) {
  const int call = Calls(function) + nth;
  rules_[function].push_back({call, call, CKR_OK, std::move(action)});
}

void ScriptedToken::Forget() {
  rules_.clear();
  edit_token_info_ = {};
  edit_attribute_ = {};
  edit_count_ = {};
}

int ScriptedToken::Calls(const std::string& function) const {
  const auto found = calls_.find(function);
  return found == calls_.end() ? 0 : found->second;
}

}  // namespace trustpoint::test
