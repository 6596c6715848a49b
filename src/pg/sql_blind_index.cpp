// tp_blind_index, tp_blind_index_candidates: what makes encrypted values findable and unique.
#include "pg/backend.hpp"
#include "pg/audit.hpp"
#include "pg/boundary.hpp"
#include "pg/keys.hpp"
#include "pg/postgres.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/statistics.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/array.h"
}

namespace trustpoint::pg {
namespace {

using envelope::IndexType;
using envelope::Purpose;
using Index = base::Block<envelope::kIndexSize>;

// The value as it is hashed, and whose key it is.
struct Question {
  IndexType type;
  base::Bytes value;
  Utf8 copy;  // of text that had to be converted
  Utf8 context;
  Utf8 name;

  void Forget() const {
    if (type == IndexType::kText) copy.Forget();
  }
};

// The value is argument 0 and not NULL.
Question ReadQuestion(FunctionCallInfo fcinfo, IndexType type) {
  Question question{type, {}, {}, {}, {}};
  if (type == IndexType::kText) {
    question.copy = TextArgument(fcinfo, 0, "value");
    question.value = question.copy.bytes();
  } else {
    question.value = BytesArgument(fcinfo, 0);
  }
  question.context = TextArgument(fcinfo, 1, "context");
  question.name = TextArgument(fcinfo, 2, "key");
  return question;
}

void RequireContextAndKey(FunctionCallInfo fcinfo) {
  RequireArgument(fcinfo, 1, "context");
  RequireArgument(fcinfo, 2, "key");
}

Datum IndexDatum(const keyring::CachedDek* dek, const Question& question) {
  auto* result = static_cast<struct varlena*>(palloc(VARHDRSZ + envelope::kIndexSize));
  SET_VARSIZE(result, VARHDRSZ + envelope::kIndexSize);
  Backend& backend = ThisBackend();
  Run([&] {
    const Index index =
        backend.indexer.Index(*dek->dek, question.type, question.context.bytes(), question.value);
    base::Copy({reinterpret_cast<std::uint8_t*>(VARDATA(result)), index.size()}, index);
  });
  return PointerGetDatum(result);
}

Datum BlindIndex(FunctionCallInfo fcinfo, IndexType type) {
  RequireContextAndKey(fcinfo);
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  const Question question = ReadQuestion(fcinfo, type);
  RefreshKeys(fcinfo);
  const keyring::CachedDek* dek = DekForName(Purpose::kIndex, question.name.view(), Capability::kSearch);
  AuditValue("tp_blind_index", dek->row.name, dek->row.id);
  CountCall(Call::kBlindIndex, question.value.size());
  const Datum index = IndexDatum(dek, question);
  question.Forget();
  return index;
}

Datum Candidates(FunctionCallInfo fcinfo, IndexType type) {
  RequireContextAndKey(fcinfo);
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  const Question question = ReadQuestion(fcinfo, type);
  RefreshKeys(fcinfo);
  const DekVersions versions = VersionsOfName(Purpose::kIndex, question.name.view(), Capability::kSearch);
  CountCall(Call::kBlindIndex, question.value.size());
  Datum indexes[kMaxVersions];
  for (int i = 0; i < versions.count; ++i) {
    OpenDek(versions.deks[i]);
    AuditValue("tp_blind_index_candidates", versions.deks[i]->row.name, versions.deks[i]->row.id);
    indexes[i] = IndexDatum(versions.deks[i], question);
  }
  question.Forget();
  PG_RETURN_ARRAYTYPE_P(construct_array(indexes, versions.count, BYTEAOID, -1, false, TYPALIGN_INT));
}

}  // namespace

// tp_blind_index(value text, context text, key text) RETURNS bytea
TP_SQL_FUNCTION(tp_blind_index_text) { return BlindIndex(fcinfo, IndexType::kText); }

// tp_blind_index(value bytea, context text, key text) RETURNS bytea
TP_SQL_FUNCTION(tp_blind_index_bytea) { return BlindIndex(fcinfo, IndexType::kBytea); }

// tp_blind_index_candidates(value text, context text, key text) RETURNS bytea[]
TP_SQL_FUNCTION(tp_blind_index_candidates_text) { return Candidates(fcinfo, IndexType::kText); }

// tp_blind_index_candidates(value bytea, context text, key text) RETURNS bytea[]
TP_SQL_FUNCTION(tp_blind_index_candidates_bytea) { return Candidates(fcinfo, IndexType::kBytea); }

}  // namespace trustpoint::pg
