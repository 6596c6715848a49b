// tp_stat, tp_stat_reset: what happened, how often, for how long.
#include "pg/boundary.hpp"
#include "pg/catalog.hpp"
#include "pg/postgres.hpp"
#include "pg/result_row.hpp"
#include "pg/rights.hpp"
#include "pg/statistics.hpp"

extern "C" {
#include "commands/dbcommands.h"
}

namespace trustpoint::pg {
namespace {

// One kind of row; a column that says nothing is negative. Nothing is shown of what has not happened.
struct Line {
  FunctionCallInfo fcinfo;
  const char* database;

  void Put(const char* kind, const char* name, std::uint64_t count, std::int64_t failed, std::int64_t bytes,
           std::int64_t nanoseconds) const {
    if (count == 0) return;
    ResultRow row;
    row.TextOrNull(database != nullptr ? database : "");
    row.Text(kind);
    row.Text(name);
    row.Bigint(count);
    PutNumber(&row, failed);
    PutNumber(&row, bytes);
    if (nanoseconds < 0)
      row.Null();
    else
      row.Double(static_cast<double>(nanoseconds) / 1e6);
    row.Put(fcinfo);
  }

 private:
  static void PutNumber(ResultRow* row, std::int64_t value) {
    if (value < 0)
      row->Null();
    else
      row->Bigint(static_cast<std::uint64_t>(value));
  }
};

void PutCounters(const Line& line, const Counters& counters) {
  const auto number = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
  for (std::size_t i = 0; i < std::size(kCallNames); ++i)
    line.Put("call", kCallNames[i], counters.calls[i].count, -1, number(counters.calls[i].bytes), -1);
  for (std::size_t i = 0; i < std::size(kFoundNames); ++i)
    line.Put("dek", kFoundNames[i], counters.found[i], -1, -1, -1);
  line.Put("wait", "gate", counters.gate.count, -1, -1, number(counters.gate.nanoseconds));
  for (std::size_t i = 0; i < counters.token.size(); ++i)
    line.Put("token", pkcs11::kCountedFunctions[i], counters.token[i].calls,
             number(counters.token[i].failures), -1, number(counters.token[i].nanoseconds));
  for (std::size_t i = 0; i < std::size(kFailureNames); ++i)
    line.Put("failure", kFailureNames[i], counters.failures[i], -1, -1, -1);
}

}  // namespace

// tp_stat() RETURNS TABLE
TP_SQL_FUNCTION(tp_stat) {
  InitMaterializedSRF(fcinfo, 0);
  int position = 0;
  Oid database;
  Counters counters;
  while (NextStatistics(&position, &database, &counters))
    PutCounters({fcinfo, OidIsValid(database) ? get_database_name(database) : nullptr}, counters);
  return Datum{0};
}

// tp_stat_reset() RETURNS void
TP_SQL_FUNCTION(tp_stat_reset) {
  FindTables(fcinfo);
  if (!RoleIsOwner(GetUserId()))
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("only the owner of the extension and superusers may reset the statistics")));
  ResetStatistics();
  PG_RETURN_VOID();
}

}  // namespace trustpoint::pg
