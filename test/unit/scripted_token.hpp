// A PKCS#11 module that stands before another one, counts the calls, and answers some of them itself.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pkcs11/cryptoki.hpp"

namespace trustpoint::test {

template <auto kMember>
struct Forward;

// One lives at a time: the functions of a CK_FUNCTION_LIST have nowhere to keep a pointer to it.
class ScriptedToken {
 public:
  explicit ScriptedToken(CK_FUNCTION_LIST* inner);
  ~ScriptedToken();
  ScriptedToken(const ScriptedToken&) = delete;
  ScriptedToken& operator=(const ScriptedToken&) = delete;

  CK_FUNCTION_LIST* api() { return &list_; }

  static constexpr int kForever = 1 << 30;
  // From the nth call from now on, answers rv so many times, in place of the module.
  void Answer(const std::string& function, CK_RV rv, int nth = 1, int times = 1);
  // Runs the action just before the nth call from now, which the module then gets.
  void Before(const std::string& function, std::function<void()> action, int nth = 1);
  // Changes what every C_GetTokenInfo reports.
  void EditTokenInfo(std::function<void(CK_TOKEN_INFO&)> edit) { edit_token_info_ = std::move(edit); }
  // Changes what every C_GetAttributeValue of one attribute reports.
  void EditAttribute(std::function<void(CK_ATTRIBUTE&)> edit) { edit_attribute_ = std::move(edit); }
  // Changes how many a list of slots, mechanisms or objects says to have.
  void EditCount(std::function<void(CK_ULONG&)> edit) { edit_count_ = std::move(edit); }
  void Forget();  // all rules, but not the counts

  int Calls(const std::string& function) const;

 private:
  struct Rule {
    int first, last;  // by number of call
    CK_RV rv;
    std::function<void()> action;  // when set: no answer
  };

  template <auto kMember>
  friend struct Forward;

  // True: *rv is the answer.
  bool Meet(const std::string& function, CK_RV* rv);

  // Changes the results of the calls that have such arguments.
  void Edit(const char*, CK_SLOT_ID, CK_TOKEN_INFO* info) {
    if (edit_token_info_) edit_token_info_(*info);
  }
  void Edit(const char* function, CK_SESSION_HANDLE, CK_OBJECT_HANDLE, CK_ATTRIBUTE* attribute, CK_ULONG) {
    if (edit_attribute_ && std::string_view(function) == "C_GetAttributeValue") edit_attribute_(*attribute);
  }
  void Edit(const char*, CK_BBOOL, CK_SLOT_ID* out, CK_ULONG* count) { EditListed(out, count); }
  void Edit(const char*, CK_SLOT_ID, CK_MECHANISM_TYPE* out, CK_ULONG* count) { EditListed(out, count); }
  void Edit(const char*, CK_SESSION_HANDLE, CK_OBJECT_HANDLE* out, CK_ULONG, CK_ULONG* count) {
    EditListed(out, count);
  }
  template <class... Args>
  void Edit(const char*, Args...) {}
  void EditListed(const CK_ULONG* out, CK_ULONG* count) {
    if (edit_count_ && out != nullptr) edit_count_(*count);
  }

  CK_FUNCTION_LIST list_;
  CK_FUNCTION_LIST* inner_;
  std::map<std::string, int> calls_;
  std::map<std::string, std::vector<Rule>> rules_;
  std::function<void(CK_TOKEN_INFO&)> edit_token_info_;
  std::function<void(CK_ATTRIBUTE&)> edit_attribute_;
  std::function<void(CK_ULONG&)> edit_count_;
};

}  // namespace trustpoint::test
