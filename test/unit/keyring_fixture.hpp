// What the tests of src/keyring share: rows, DEKs and a source of randomness that a test may replace.
#pragma once

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "keyring/rows.hpp"
#include "keyring/subkeys.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::test {

inline constexpr const char* kDekHex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

inline keyring::DekRow MakeRow(std::uint32_t id, std::string_view name,
                               envelope::Purpose purpose = envelope::Purpose::kData) {
  keyring::DekRow row{};
  row.id = id;
  row.purpose = purpose;
  row.state = keyring::DekState::kActive;
  row.name_size = static_cast<std::uint8_t>(name.size());
  std::copy(name.begin(), name.end(), row.name);
  std::fill(row.wrapped.begin(), row.wrapped.end(), static_cast<std::uint8_t>(id));
  return row;
}

inline keyring::Dek DataDek(const std::string& hex = kDekHex) {
  return keyring::Dek(envelope::Purpose::kData, FromHex(hex));
}

// While it lives, the kernel's random bytes come from here. The tests' getrandom is in keyring_fixture.cpp.
class ScriptedRandom {
 public:
  explicit ScriptedRandom(std::function<void(base::MutableBytes)> fill);
  ~ScriptedRandom();
  ScriptedRandom(const ScriptedRandom&) = delete;
  ScriptedRandom& operator=(const ScriptedRandom&) = delete;
};

}  // namespace trustpoint::test
