// tp_rewrap, and what tp_reencrypt_column is made of: tp_needs_rewrap, tp_rewrap_problem, tp_take_rewrapped.
#include <algorithm>
#include <optional>
#include <vector>

#include "pg/audit.hpp"
#include "pg/backend.hpp"
#include "pg/boundary.hpp"
#include "pg/catalog.hpp"
#include "pg/keys.hpp"
#include "pg/settings.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/statistics.hpp"
#include "pg/value.hpp"

extern "C" {
#include "access/detoast.h"
#include "utils/memutils.h"
}

namespace trustpoint::pg {
namespace {

using envelope::Purpose;
using envelope::Suite;
using keyring::CachedDek;
using keyring::DekRow;

constexpr const char* kTooLarge = "the value is too large for the suite that trustpoint.cipher names";

// What the value takes in another suite, which may be more bytes.
size_t SizeIn(Suite suite, const envelope::Value& value) {
  return value.ciphertext.size() + envelope::Overhead(suite);
}

bool Fits(Suite suite, const envelope::Value& value) {
  return AllocSizeIsValid(SizeIn(suite, value) + VARHDRSZ);
}

// The value under another DEK, or its own. False: it is not authentic. The plaintext exists only where the
// new ciphertext goes, and is encrypted in place. Runs in a body.
bool Rewrap(const CachedDek& from, const envelope::Value& value, base::Bytes context, const CachedDek& to,
            Suite suite, base::MutableBytes stored) {
  Backend& backend = *ExistingBackend();
  const base::MutableBytes plaintext = envelope::Lay(suite, to.row.id, stored).ciphertext;
  if (!backend.opener.Open(*from.dek, value, context, plaintext)) return false;
  try {
    backend.sealer.Seal(*to.dek, suite, to.row.id, context, plaintext, stored);
  } catch (...) {
    base::Wipe(plaintext);
    throw;
  }
  return true;
}

// Why a value cannot be rewrapped, as far as the rows tell; nullptr when nothing stands against it. from: its
// own DEK, to: the one that it would come under.
const char* ProblemOfRows(const envelope::Value& value, const DekRow** from, const DekRow** to) {
  *from = RowForId(value.key_id);
  if (*from == nullptr) return psprintf("there is no DEK with id %u in this database", value.key_id);
  if ((*from)->purpose != Purpose::kData)
    return psprintf("DEK %u is not for values of this kind", value.key_id);
  if (!keyring::IsUsable((*from)->state))
    return psprintf("DEK %u (%s) is %s", value.key_id, (*from)->name, StateName((*from)->state));
  *to = ActiveRow(Purpose::kData, (*from)->name_view());
  if (*to == nullptr) return psprintf("no DEK named \"%s\" is active", (*from)->name);
  return nullptr;
}

// As tp_rewrap, but a value that cannot be rewrapped is no error: returns why, or nullptr and leaves the
// result for tp_take_rewrapped. What is wrong with a key, the token or the caller's rights still is an error.
const char* TryRewrap(FunctionCallInfo fcinfo) {
  const base::Bytes stored = BytesArgument(fcinfo, 0);
  if (PG_ARGISNULL(1)) return "the context is NULL";
  const Utf8 context = TextArgument(fcinfo, 1, "context");
  const std::optional<envelope::Value> value = envelope::Parse(stored);
  if (!value) return "not a trustpoint value";
  LockForEncryption(fcinfo, "tp_rewrap_problem()");
  RefreshKeys(fcinfo);
  const DekRow* from;
  const DekRow* to;
  if (const char* problem = ProblemOfRows(*value, &from, &to)) return problem;
  const CachedDek* old_dek = DekForId(Purpose::kData, from->id, Capability::kRewrap);
  const CachedDek* new_dek = DekForName(Purpose::kData, from->name_view(), Capability::kRewrap);
  const Suite suite = CurrentSuite();
  if (!Fits(suite, *value)) return kTooLarge;
  bool authentic = false;
  Rewrapped& last = ThisBackend().rewrapped;
  Run([&] {
    last.value.clear();
    last.result.resize(SizeIn(suite, *value));
    authentic = Rewrap(*old_dek, *value, context.bytes(), *new_dek, suite, last.result);
    if (authentic) last.value.assign(stored.begin(), stored.end());
  });
  context.Forget();
  if (!authentic) return "the value could not be authenticated";
  AuditValue("tp_rewrap", new_dek->row.name, new_dek->row.id);
  CountCall(Call::kRewrap, value->ciphertext.size());
  return nullptr;
}

}  // namespace

// tp_rewrap(value bytea, context text) RETURNS bytea
TP_SQL_FUNCTION(tp_rewrap) {
  RequireArgument(fcinfo, 1, "context");
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  const base::Bytes stored = BytesArgument(fcinfo, 0);
  const Utf8 context = TextArgument(fcinfo, 1, "context");
  const envelope::Value value = ParseValue(stored);
  LockForEncryption(fcinfo, "tp_rewrap()");
  RefreshKeys(fcinfo);
  const CachedDek* old_dek = DekForId(Purpose::kData, value.key_id, Capability::kRewrap);
  const CachedDek* new_dek = DekForName(Purpose::kData, old_dek->row.name_view(), Capability::kRewrap);
  const Suite suite = CurrentSuite();
  if (!Fits(suite, value))
    ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("%s", kTooLarge),
                    errhint("With trustpoint.cipher = 'aes-256-gcm' it is as large as it was.")));
  AuditValue("tp_rewrap", new_dek->row.name, new_dek->row.id);
  CountCall(Call::kRewrap, value.ciphertext.size());
  struct varlena* result = AllocateVarlena(SizeIn(suite, value));
  bool authentic = false;
  Run([&] { authentic = Rewrap(*old_dek, value, context.bytes(), *new_dek, suite, Content(result)); });
  if (!authentic) RaiseNotAuthentic();
  if (old_dek == new_dek && value.suite == suite) {  // it is there already: no new row version for nothing
    pfree(result);
    PG_RETURN_DATUM(PG_GETARG_DATUM(0));
  }
  PG_RETURN_POINTER(result);
}

// tp_needs_rewrap(value bytea) RETURNS boolean
//
// Reads the head and the rows of keys alone: a pass over a table that is done costs little more than the
// scan.
TP_SQL_FUNCTION(tp_needs_rewrap) {
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  const size_t size = toast_raw_datum_size(PG_GETARG_DATUM(0)) - VARHDRSZ;
  const bytea* start = PG_GETARG_BYTEA_P_SLICE(0, 0, static_cast<int32>(envelope::kHeaderSize));
  const base::Bytes head = {reinterpret_cast<const std::uint8_t*>(VARDATA_ANY(start)),
                            VARSIZE_ANY_EXHDR(start)};
  if (!envelope::IsWellFormed(head, size)) PG_RETURN_BOOL(true);
  RefreshKeys(fcinfo);
  const DekRow* row = RowForId(base::GetU32(head.data() + 1));
  const DekRow* active = row != nullptr ? ActiveRow(Purpose::kData, row->name_view()) : nullptr;
  PG_RETURN_BOOL(active == nullptr || active->id != row->id ||
                 head[0] != static_cast<std::uint8_t>(CurrentSuite()));
}

// tp_rewrap_problem(value bytea, context text) RETURNS text
TP_SQL_FUNCTION(tp_rewrap_problem) {
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  const char* problem = TryRewrap(fcinfo);
  if (problem == nullptr) PG_RETURN_NULL();
  PG_RETURN_TEXT_P(cstring_to_text(ShownFromUtf8(problem)));
}

// tp_take_rewrapped(value bytea) RETURNS bytea
//
// So that an UPDATE asks in WHERE whether a value can be rewrapped, sets the result, and does the work once.
TP_SQL_FUNCTION(tp_take_rewrapped) {
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  const base::Bytes stored = BytesArgument(fcinfo, 0);
  const Backend* backend = ExistingBackend();
  if (backend == nullptr || stored.empty() || !std::ranges::equal(backend->rewrapped.value, stored))
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("tp_take_rewrapped() must follow tp_rewrap_problem() of the same value"),
                    errhint("Use tp_rewrap.")));
  struct varlena* result = AllocateVarlena(backend->rewrapped.result.size());
  base::Copy(Content(result), backend->rewrapped.result);
  PG_RETURN_POINTER(result);
}

}  // namespace trustpoint::pg
