// DROP EXTENSION and DROP DATABASE, which take rows of keys away without a trigger: nobody is left there to
// ask for their DEKs, or to see that they are gone.
#pragma once

namespace trustpoint::pg {

// From _PG_init, where the library is preloaded.
void WatchDrops();

}  // namespace trustpoint::pg
