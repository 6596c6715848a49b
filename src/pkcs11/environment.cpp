#include "pkcs11/environment.hpp"

#include <cstdlib>
#include <new>
#include <string_view>

#include "base/error.hpp"

namespace trustpoint::pkcs11 {
namespace {

std::string_view Trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

bool IsName(std::string_view name) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
  constexpr std::string_view kDigits = "0123456789";
  if (name.empty() || kLetters.find(name[0]) == std::string_view::npos) return false;
  for (const char c : name)
    if (kLetters.find(c) == std::string_view::npos && kDigits.find(c) == std::string_view::npos) return false;
  return true;
}

}  // namespace

Environment::Environment(const std::string& text) {
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = rest.find(';');
    const std::string_view item = Trim(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    if (item.empty()) continue;
    const std::size_t equals = item.find('=');
    const std::string_view name = Trim(item.substr(0, equals));
    if (equals == std::string_view::npos || !IsName(name))
      throw base::Error(base::ErrorCode::kNotConfigured, "trustpoint.module_environment is malformed", {},
                        "Write it as NAME=value; NAME=value.");
    variables_.push_back({std::string(name), std::string(Trim(item.substr(equals + 1))), std::nullopt});
  }
}

void Environment::Apply() {
  for (Variable& variable : variables_) {
    if (const char* before = std::getenv(variable.name.c_str()); before && !applied_)
      variable.before = before;
    if (setenv(variable.name.c_str(), variable.value.c_str(), 1) != 0) throw std::bad_alloc();
  }
  applied_ = true;
}

const std::string* Environment::Find(std::string_view name) const noexcept {
  const std::string* value = nullptr;  // the last one counts, as in Apply
  for (const Variable& variable : variables_)
    if (variable.name == name) value = &variable.value;
  return value;
}

Environment::~Environment() {
  if (!applied_) return;
  for (auto variable = variables_.rbegin(); variable != variables_.rend(); ++variable) {
    if (variable->before)
      setenv(variable->name.c_str(), variable->before->c_str(), 1);
    else
      unsetenv(variable->name.c_str());
  }
}

}  // namespace trustpoint::pkcs11
