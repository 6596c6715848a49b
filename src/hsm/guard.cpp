#include "hsm/guard.hpp"

#include <algorithm>
#include <string>

#include "base/error.hpp"
#include "envelope/dek.hpp"

namespace trustpoint::hsm {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::string_view kReservedPrefix = "trustpoint-";

bool IsPlain(char c) { return static_cast<unsigned char>(c) >= ' ' && c != 0x7F; }

}  // namespace

bool IsKekId(base::Bytes id) noexcept {
  const auto& prefix = envelope::kKekIdPrefix;
  return id.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), id.begin());
}

bool IsReservedLabel(std::string_view label) noexcept { return label.starts_with(kReservedPrefix); }

void RefuseKek(base::Bytes id, std::string_view label) {
  if (!IsKekId(id) && !IsReservedLabel(label)) return;
  throw Error(
      ErrorCode::kInvalidArgument,
      "the key \"" + std::string(label) + "\" belongs to the keyring of a trustpoint", {},
      "Labels that begin with \"trustpoint-\" are reserved; such keys are reached by the functions of the "
      "keyring alone.");
}

void CheckNewLabel(std::string_view label) {
  if (label.empty() || label.size() > kMaxLabelSize || !std::all_of(label.begin(), label.end(), IsPlain))
    throw Error(ErrorCode::kInvalidArgument, "not a label for a key", {},
                "A label has 1 to 64 bytes of UTF-8 and no control characters.");
  RefuseKek({}, label);
}

}  // namespace trustpoint::hsm
