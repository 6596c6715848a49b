// tp_note_reencryption: what tp_reencrypt_column tells of its work, to its caller and to other sessions.
#include "pg/catalog.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/store.hpp"

extern "C" {
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
}

namespace trustpoint::pg {
namespace {

constexpr int kNoticeSeconds = 5;

// Of the job of this session. A procedure runs in one piece, so one is enough.
TimestampTz started = 0;
TimestampTz noticed = 0;

double SecondsSince(TimestampTz then, TimestampTz now) {
  return static_cast<double>(now - then) / USECS_PER_SEC;
}

}  // namespace

// tp_note_reencryption(relation regclass, attribute name, phase text, rows_done bigint, rows_left bigint,
//                      rows_refused bigint) RETURNS void
//
// rows_done 0 in the phase "counting" begins a job. Written with each batch's commit.
TP_SQL_FUNCTION(tp_note_reencryption) {
  PreventCommandDuringRecovery("tp_reencrypt_column()");
  for (int i = 0; i < 6; ++i) RequireArgument(fcinfo, i, "of tp_note_reencryption");
  FindTables(fcinfo);
  Reencryption job;
  job.relation = PG_GETARG_OID(0);
  job.attribute = NameStr(*PG_GETARG_NAME(1));
  job.phase = text_to_cstring(PG_GETARG_TEXT_PP(2));
  job.rows_done = PG_GETARG_INT64(3);
  job.rows_left = PG_GETARG_INT64(4);
  job.rows_refused = PG_GETARG_INT64(5);
  if (job.rows_done < 0 || job.rows_left < 0 || job.rows_refused < 0)
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the numbers of rows must not be negative")));
  const TimestampTz now = GetCurrentTimestamp();
  if (strcmp(job.phase, "counting") == 0) started = noticed = now;
  job.started = started;
  StoreReencryption(job);
  if (SecondsSince(noticed, now) < kNoticeSeconds) PG_RETURN_VOID();
  noticed = now;
  const double rate = static_cast<double>(job.rows_done) / SecondsSince(started, now);
  ereport(NOTICE, (errmsg("%s.%s: " INT64_FORMAT " values done, " INT64_FORMAT " left, %.0f a second, %s",
                          get_rel_name(job.relation), job.attribute, job.rows_done, job.rows_left, rate,
                          rate > 0 ? psprintf("%.0f s left", static_cast<double>(job.rows_left) / rate)
                                   : job.phase)));
  PG_RETURN_VOID();
}

}  // namespace trustpoint::pg
