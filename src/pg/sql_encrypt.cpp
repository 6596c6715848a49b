// tp_encrypt, tp_decrypt, tp_decrypt_bytea: values in and out of ordinary columns.
#include "envelope/value.hpp"
#include "pg/audit.hpp"
#include "pg/backend.hpp"
#include "pg/boundary.hpp"
#include "pg/keys.hpp"
#include "pg/postgres.hpp"
#include "pg/settings.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/statistics.hpp"
#include "pg/text.hpp"
#include "pg/value.hpp"

extern "C" {
#include "utils/memutils.h"
}

namespace trustpoint::pg {
namespace {

using envelope::Purpose;
using envelope::Suite;

Datum Encrypt(FunctionCallInfo fcinfo, base::Bytes plaintext, base::Bytes context, std::string_view name) {
  const Suite suite = CurrentSuite();
  const size_t size = plaintext.size() + envelope::Overhead(suite);
  if (!AllocSizeIsValid(size + VARHDRSZ))
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the value is too large to encrypt"),
                    errhint("The limit is 1 GB less %zu bytes. Split it over several rows.",
                            envelope::Overhead(suite) + VARHDRSZ)));
  LockForEncryption(fcinfo, "tp_encrypt()");
  RefreshKeys(fcinfo);
  const keyring::CachedDek* dek = DekForName(Purpose::kData, name, Capability::kEncrypt);
  AuditValue("tp_encrypt", dek->row.name, dek->row.id);
  CountCall(Call::kEncrypt, plaintext.size());
  struct varlena* stored = AllocateVarlena(size);
  Backend& backend = ThisBackend();
  Run([&] { backend.sealer.Seal(*dek->dek, suite, dek->row.id, context, plaintext, Content(stored)); });
  PG_RETURN_POINTER(stored);
}

// The plaintext as a new varlena; raises when it is not authentic.
struct varlena* Decrypt(FunctionCallInfo fcinfo, const char* function) {
  const base::Bytes stored = BytesArgument(fcinfo, 0);
  const Utf8 context = TextArgument(fcinfo, 1, "context");
  const envelope::Value value = ParseValue(stored);
  RefreshKeys(fcinfo);
  const keyring::CachedDek* dek = DekForId(Purpose::kData, value.key_id, Capability::kDecrypt);
  AuditValue(function, dek->row.name, dek->row.id);
  CountCall(Call::kDecrypt, value.ciphertext.size());
  struct varlena* plaintext = AllocateVarlena(value.ciphertext.size());
  Backend& backend = ThisBackend();
  bool authentic = false;
  Run([&] { authentic = backend.opener.Open(*dek->dek, value, context.bytes(), Content(plaintext)); });
  context.Forget();
  if (!authentic) RaiseNotAuthentic();
  return plaintext;
}

}  // namespace

// tp_encrypt(value text, context text, key text) RETURNS bytea
TP_SQL_FUNCTION(tp_encrypt_text) {
  RequireArgument(fcinfo, 1, "context");
  RequireArgument(fcinfo, 2, "key");
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  const Utf8 plaintext = TextArgument(fcinfo, 0, "value");
  const Utf8 context = TextArgument(fcinfo, 1, "context");
  const Utf8 name = TextArgument(fcinfo, 2, "key");
  const Datum stored = Encrypt(fcinfo, plaintext.bytes(), context.bytes(), name.view());
  plaintext.Forget();
  return stored;
}

// tp_encrypt(value bytea, context text, key text) RETURNS bytea
TP_SQL_FUNCTION(tp_encrypt_bytea) {
  RequireArgument(fcinfo, 1, "context");
  RequireArgument(fcinfo, 2, "key");
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  const base::Bytes plaintext = BytesArgument(fcinfo, 0);
  const Utf8 context = TextArgument(fcinfo, 1, "context");
  const Utf8 name = TextArgument(fcinfo, 2, "key");
  return Encrypt(fcinfo, plaintext, context.bytes(), name.view());
}

// tp_decrypt(value bytea, context text) RETURNS text
TP_SQL_FUNCTION(tp_decrypt) {
  RequireArgument(fcinfo, 1, "context");
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  PG_RETURN_TEXT_P(ReplaceByText(Decrypt(fcinfo, "tp_decrypt"),
                                 "It was encrypted as bytea. Read it with tp_decrypt_bytea.",
                                 "Read it with tp_decrypt_bytea, or from a database with encoding UTF8."));
}

// tp_decrypt_bytea(value bytea, context text) RETURNS bytea
TP_SQL_FUNCTION(tp_decrypt_bytea) {
  RequireArgument(fcinfo, 1, "context");
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  PG_RETURN_BYTEA_P(reinterpret_cast<bytea*>(Decrypt(fcinfo, "tp_decrypt_bytea")));
}

}  // namespace trustpoint::pg
