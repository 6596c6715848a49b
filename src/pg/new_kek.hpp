// A KEK found or made in the token, which no key of the token may share its label with: that key would be out
// of reach from then on.
#pragma once

#include <string_view>

#include "keyring/rows.hpp"
#include "pg/postgres.hpp"

namespace trustpoint::pg {

// The KEK of the label, behind the gate. It is no row yet, unless the database knows it already, and is never
// undone. Raises 42710 where another key has the label: in the token, or in tp_token_key.
keyring::KekRow FindOrCreateKek(FunctionCallInfo fcinfo, std::string_view label);

// The same. Raises 42710 also when the database knows it already.
keyring::KekRow FindOrCreateNewKek(FunctionCallInfo fcinfo, std::string_view label);

}  // namespace trustpoint::pg
