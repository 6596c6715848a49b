// What making a DEK and bringing one in have in common.
#pragma once

#include <string_view>

#include "keyring/rows.hpp"

namespace trustpoint::pg {

// Raises 22023 for what is no name of a DEK.
void CheckDekName(std::string_view name);

// A row of a new DEK with an id of its own; its keys are still to be made. name: checked.
keyring::DekRow NewDekRow(envelope::Purpose purpose, std::string_view name);

}  // namespace trustpoint::pg
