// Random bytes from getrandom(2): faster than a generator of the process, not replaceable by a module that is
// loaded into it, and reseeded by the kernel when a virtual machine is cloned.
#pragma once

#include "base/bytes.hpp"

namespace trustpoint::crypto {

// Fills out. Throws kInternal when the kernel refuses, which it does not once it has booted.
void Random(base::MutableBytes out);

}  // namespace trustpoint::crypto
