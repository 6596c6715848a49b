// PostgreSQL 14 lacks InitMaterializedSRF.
#include "pg/postgres.hpp"

#if PG_VERSION_NUM < 150000

extern "C" {
#include "utils/memutils.h"
#include "utils/tuplestore.h"
}

// Guarded for 14 and not tried there: the flags, which only widen what it accepts, are not used by us.
extern "C" void InitMaterializedSRF(FunctionCallInfo fcinfo, bits32) {
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (result == nullptr || !IsA(result, ReturnSetInfo) || (result->allowedModes & SFRM_Materialize) == 0)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("set-valued function called in context that cannot accept a set")));
  MemoryContext before = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
  TupleDesc descriptor;
  if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  result->returnMode = SFRM_Materialize;
  result->setResult = tuplestore_begin_heap(false, false, work_mem);
  result->setDesc = descriptor;
  MemoryContextSwitchTo(before);
}

#endif
