// tpsec_encrypt, tpsec_decrypt: fields as Trustpoint itself stores them.
#include <optional>

#include "envelope/base64.hpp"
#include "envelope/tpsec.hpp"
#include "pg/audit.hpp"
#include "pg/backend.hpp"
#include "pg/boundary.hpp"
#include "pg/keys.hpp"
#include "pg/postgres.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/statistics.hpp"
#include "pg/tpsec_field.hpp"

extern "C" {
#include "tcop/utility.h"
#include "utils/memutils.h"
}

namespace trustpoint::pg {
namespace {

using envelope::Purpose;

constexpr std::string_view kName = "default";

struct varlena* AllocateVarlena(size_t size) {
  auto* result = static_cast<struct varlena*>(palloc(size + VARHDRSZ));
  SET_VARSIZE(result, size + VARHDRSZ);
  return result;
}

base::MutableBytes Content(struct varlena* value) {
  return {reinterpret_cast<std::uint8_t*>(VARDATA(value)), VARSIZE(value) - VARHDRSZ};
}

[[noreturn]] void RaiseNotAuthentic() {
  ereport(
      ERROR,
      (errcode(ERRCODE_DATA_EXCEPTION), errmsg("the Trustpoint field could not be authenticated"),
       errdetail("It was encrypted under another DEK, was changed, or is a text that only looks like one."),
       errhint("tp_keyring shows the DEKs of purpose \"tpsec\"; others are brought in by tp_import_dek.")));
  pg_unreachable();
}

// It opened, so it is Trustpoint's; but it is not what Trustpoint writes.
[[noreturn]] void RaiseBadPadding() {
  ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
                  errmsg("the Trustpoint field does not end in the padding of its form"),
                  errhint("Look at how this field was written.")));
  pg_unreachable();
}

// True: one of the DEKs that the caller may use opened it into plaintext.
bool OpenByAnyDek(const envelope::TpsecField& field, base::MutableBytes plaintext) {
  const DekVersions versions = VersionsOfPurpose(Purpose::kTpsec, Capability::kDecrypt);
  CountCall(Call::kTpsecDecrypt, plaintext.size());
  Backend& backend = ThisBackend();
  bool opened = false;
  for (int i = 0; i < versions.count && !opened; ++i) {
    keyring::CachedDek* dek = versions.deks[i];
    OpenDek(dek);
    AuditValue("tpsec_decrypt", dek->row.name, dek->row.id);
    Run([&] { opened = backend.tpsec.Open(*dek->dek, field, plaintext); });
  }
  return opened;
}

}  // namespace

// tpsec_encrypt(value text) RETURNS text
TP_SQL_FUNCTION(tpsec_encrypt) {
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  PreventCommandDuringRecovery("tpsec_encrypt()");  // for the empty text too
  const Utf8 plaintext = TextArgument(fcinfo, 0, "value");
  if (plaintext.size == 0) PG_RETURN_DATUM(PG_GETARG_DATUM(0));
  const size_t payload_size = envelope::kTpsecOverhead + plaintext.size;
  const size_t size = envelope::kTpsecPrefix.size() + envelope::Base64Size(payload_size);
  if (!AllocSizeIsValid(size + VARHDRSZ))
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the value is too large to encrypt"),
                    errhint("Base64 makes it a third longer, and a text has at most 1 GB.")));
  LockForEncryption(fcinfo, "tpsec_encrypt()");
  RefreshKeys(fcinfo);
  const keyring::CachedDek* dek = DekForName(Purpose::kTpsec, kName, Capability::kEncrypt);
  AuditValue("tpsec_encrypt", dek->row.name, dek->row.id);
  CountCall(Call::kTpsecEncrypt, plaintext.size);
  struct varlena* payload = AllocateVarlena(payload_size);
  struct varlena* result = AllocateVarlena(size);
  Backend& backend = ThisBackend();
  Run([&] {
    backend.tpsec.Seal(*dek->dek, plaintext.bytes(), Content(payload));
    base::Copy(Content(result), base::AsBytes(envelope::kTpsecPrefix));
    envelope::WriteBase64(Content(payload), Content(result).subspan(envelope::kTpsecPrefix.size()));
  });
  plaintext.Forget();
  pfree(payload);
  PG_RETURN_TEXT_P(reinterpret_cast<text*>(result));
}

// tpsec_decrypt(value text) RETURNS text
TP_SQL_FUNCTION(tpsec_decrypt) {
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  const text* value = PG_GETARG_TEXT_PP(0);
  if (VARSIZE_ANY_EXHDR(value) == 0) PG_RETURN_DATUM(PG_GETARG_DATUM(0));
  const envelope::TpsecField field = ReadTpsecField({VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)});
  RefreshKeys(fcinfo);
  struct varlena* plaintext = AllocateVarlena(field.ciphertext.size());
  if (!OpenByAnyDek(field, Content(plaintext))) RaiseNotAuthentic();
  const std::optional<std::size_t> size = envelope::TpsecPlaintextSize(field.form, Content(plaintext));
  if (!size) {
    base::Wipe(Content(plaintext));
    RaiseBadPadding();
  }
  SET_VARSIZE(plaintext, *size + VARHDRSZ);
  PG_RETURN_TEXT_P(ReplaceByText(plaintext, "Trustpoint stores text alone: this field was written by others.",
                                 "Read it from a database with encoding UTF8."));
}

}  // namespace trustpoint::pg
