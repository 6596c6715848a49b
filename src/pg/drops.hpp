// DROP EXTENSION and DROP DATABASE, which take rows of keys away without a trigger: nobody is left there to
// ask for their DEKs, or to see that they are gone; nor to count in the statistics.
#pragma once

namespace trustpoint::pg {

// From _PG_init, where the library is preloaded.
void WatchDrops();
// At the end of a transaction. Cannot fail.
void SettleDrops(bool committed);

}  // namespace trustpoint::pg
