// How PostgreSQL loaded the library.
#pragma once

namespace trustpoint::pg {

// In the postmaster, by shared_preload_libraries: only then there is shared memory, and no session without
// our hooks.
bool Preloaded();

}  // namespace trustpoint::pg
