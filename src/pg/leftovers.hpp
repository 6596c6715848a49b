// What crashes, and tokens out of reach, have left to do on the token.
#pragma once

namespace trustpoint::pg {

// Finishes, as far as the token lets: keys and renames of this database's transactions that ended without
// undoing them (by the journal), and keys that were destroyed (tp_token_trash). A transaction that is in
// progress or prepared is left alone; whether a key stays is decided by its row; a key without an entry is
// never touched. Begins every function that changes keys. May ereport.
void SettleLeftovers();

}  // namespace trustpoint::pg
