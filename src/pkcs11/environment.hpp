// The variables that a module reads from the process's environment, such as SOFTHSM2_CONF.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trustpoint::pkcs11 {

class Environment {
 public:
  // text: "NAME=value; NAME=value"; spaces around names and values are dropped, a value holds no semicolon.
  // Throws kNotConfigured.
  explicit Environment(const std::string& text);
  ~Environment();  // puts back what was there before Apply
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  void Apply();
  // nullptr: the text does not set it.
  const std::string* Find(std::string_view name) const noexcept;

 private:
  struct Variable {
    std::string name, value;
    std::optional<std::string> before;
  };
  std::vector<Variable> variables_;
  bool applied_ = false;
};

}  // namespace trustpoint::pkcs11
