// What a transaction does to keys of the token, and the undoing of it.
//
// A key is made or renamed in the token at once, journalled before, and undone when the (sub)transaction
// aborts; it is destroyed when the transaction commits. The callbacks at the ends never ereport and open no
// session: what they cannot do is left in the journal or in tp_token_trash, and finished by the next function
// that changes keys. KEKs never come here: they are not undone.
#pragma once

#include <string_view>

#include "hsm/change_key.hpp"
#include "pg/known_keys.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "access/xact.h"
}

namespace trustpoint::pg {

// Keeps others from making, renaming or destroying a key of this label until the transaction ends.
void LockLabel(std::string_view label);

// Each is called before the token is touched, and may ereport.
void WillMakeKey(const KeyId& id);
void WillRenameKey(const KeyId& id);
void WillSetDate(const KeyId& id, const char* attribute,
                 std::string_view value);  // the value that it has now
void WillDestroyKey(const KeyId& id);

// After WillRenameKey, once the token has told the labels and before it is given another, in the same Run. Of
// two tries the first counts.
void NoteLabels(const hsm::Labels& labels);

// Whether this transaction will destroy the key.
bool IsDoomedHere(const KeyId& id);

// Whether this transaction has made, changed or doomed any.
bool HasChangedKeys();

// From the callbacks. Only XACT_EVENT_PRE_PREPARE may ereport.
void EndTokenTransaction(XactEvent event);
void EndTokenSubtransaction(SubXactEvent event, SubTransactionId subtransaction, SubTransactionId parent);

}  // namespace trustpoint::pg
