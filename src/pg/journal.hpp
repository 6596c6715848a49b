// The journal of keys whose transaction has not ended: a file of the data directory, outside of MVCC.
//
// The token knows no transactions, and after a crash no callback undoes anything. So what a transaction makes
// in the token is written down, and on the disk, before it is made; whoever changes keys next finishes what a
// crash left (leftovers.hpp). The journal belongs to this very data directory: a copy of it (base backup,
// restore, clone) speaks of keys that the original may have committed, so it is reported and destroys
// nothing.
#pragma once

#include "pg/token_catalog.hpp"

namespace trustpoint::pg {

struct JournalEntry {
  enum class Kind : std::uint8_t {
    kMade = 1,     // to be destroyed, unless its row is there
    kRenamed = 2,  // to be given the label of its row
    kDoomed = 3,   // to be destroyed, if it is in the trash
  };
  Kind kind;
  bool aborted;  // the (sub)transaction is known to have aborted, and the undo failed
  KeyId id;
  Oid database, table;  // where the row is: tp_token_key
  std::uint64_t xid;    // with its epoch
  char token_serial[17];
};

// Returns the entry's slot once it is on the disk. May ereport; nothing is held then.
int JournalAdd(const JournalEntry& entry);
// For the ends of transactions: never ereports. False: the journal could not be had or written.
bool JournalRemove(int slot, const KeyId& id);
bool JournalMarkAborted(int slot, const KeyId& id);

// Writes to the log that nobody knows whether the key is wanted.
void JournalReport(const KeyId& id);

// All entries, palloc'ed; slots[i] is the slot of entries[i]. May ereport.
JournalEntry* JournalRead(int* count, int** slots);

}  // namespace trustpoint::pg
