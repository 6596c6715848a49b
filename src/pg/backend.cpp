#include "pg/backend.hpp"

#include "crypto/kdf.hpp"
#include "crypto/random.hpp"
#include "pg/boundary.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace trustpoint::pg {

Backend* internal::backend = nullptr;

namespace {

// Base backups leave the contents of this folder out.
constexpr char kPinMemoFile[] = "pg_stat_tmp/trustpoint.pin";

base::Block<32> HmacForMemo(base::Bytes key, base::Bytes data) { return crypto::HmacSha256(key, {data}); }

void WarnIfUnlocked() {
  if (base::SecretMemory().locked) return;
  ereport(
      WARNING,
      (errmsg("memory for keys could not be locked and may reach swap"),
       errhint(
           "Raise the limit of locked memory for the server (RLIMIT_MEMLOCK, LimitMEMLOCK= in systemd).")));
}

}  // namespace

Backend::Backend()
    : pin_memo(kPinMemoFile, static_cast<std::uint64_t>(PgStartTime), {HmacForMemo, crypto::Random}),
      connection(&pin_memo) {}

void Backend::WipeContexts() noexcept {
  sealer.EndTransaction();
  opener.EndTransaction();
  tpsec.EndTransaction();
  indexer.EndTransaction();
}

void internal::MakeBackend() {
  Run([] {
    const base::Secret first(base::Bytes(base::Block<1>{}));  // maps the memory for keys
    backend = new Backend;
  });
  WarnIfUnlocked();
}

}  // namespace trustpoint::pg
