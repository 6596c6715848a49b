// What PostgreSQL calls when it loads the library, possibly in the postmaster: settings, callbacks, and what
// of OpenSSL is the same for every backend; nothing of PKCS#11.
#include "pg/module.hpp"

#include "crypto/prepare.hpp"
#include "pg/backend.hpp"
#include "pg/catalog.hpp"
#include "pg/drops.hpp"
#include "pg/gate.hpp"
#include "pg/keys.hpp"
#include "pg/postgres.hpp"
#include "pg/redaction.hpp"
#include "pg/settings.hpp"
#include "pg/shared_cache.hpp"
#include "pg/statistics.hpp"
#include "pg/token_catalog.hpp"
#include "pg/token_transaction.hpp"

extern "C" {
#include "access/xact.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);
}

namespace trustpoint::pg {
namespace {

bool preloaded = false;

// Between transactions no copy of a key exists outside locked memory. Nothing here can fail, but PREPARE
// TRANSACTION where keys of the token have changed.
extern "C" void TrustpointTransactionEnds(XactEvent event, void*) {
  EndTokenTransaction(event);
  switch (event) {
    case XACT_EVENT_COMMIT:
    case XACT_EVENT_ABORT:
    case XACT_EVENT_PREPARE:
    case XACT_EVENT_PARALLEL_COMMIT:
    case XACT_EVENT_PARALLEL_ABORT:
      break;
    default:
      return;
  }
  ForgetEncryptionLock();
  DropTurn();
  SettleSharedDeks();
  SettleDrops(event == XACT_EVENT_COMMIT);
  AddStatistics();
  if (Backend* backend = ExistingBackend()) {
    backend->WipeContexts();
    backend->rewrapped.Clear();
    backend->StopMoving();
  }
}

// An error may have come while it had the turn.
extern "C" void TrustpointSubtransactionEnds(SubXactEvent event, SubTransactionId subtransaction,
                                             SubTransactionId parent, void*) {
  EndTokenSubtransaction(event, subtransaction, parent);
  if (event != SUBXACT_EVENT_ABORT_SUB) return;
  DropTurn();
  if (Backend* backend = ExistingBackend()) {
    backend->rewrapped.Clear();
    backend->StopMoving();
  }
}

}  // namespace

bool Preloaded() { return preloaded; }

}  // namespace trustpoint::pg

void _PG_init(void) {
  using namespace trustpoint::pg;
  preloaded = process_shared_preload_libraries_in_progress;
  DefineSettings();
  PrepareSharedCache();
  PrepareStatistics();
  if (preloaded) {
    trustpoint::crypto::Prepare();
    WatchDrops();
  }
  WatchTables();
  WatchTokenTables();
  WatchLog();
  RegisterXactCallback(TrustpointTransactionEnds, nullptr);
  RegisterSubXactCallback(TrustpointSubtransactionEnds, nullptr);
}
