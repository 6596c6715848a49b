// A Trustpoint field from SQL text.
#pragma once

#include <string_view>

#include "envelope/tpsec.hpp"

namespace trustpoint::pg {

// The decoded field, palloc'ed. Raises 22P03 for a text that is in no form of Trustpoint's: it may stand
// there in clear, and is never passed through.
envelope::TpsecField ReadTpsecField(std::string_view text);

}  // namespace trustpoint::pg
