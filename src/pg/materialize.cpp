// PostgreSQL 14 lacks InitMaterializedSRF.
#include "pg/postgres.hpp"

#if PG_VERSION_NUM < 150000

extern "C" {
#include "utils/memutils.h"
#include "utils/tuplestore.h"
}

// As SetSingleFuncCall of 15.0, without its flags: they take the caller's descriptor or bless one, which none
// of ours asks for.
extern "C" void InitMaterializedSRF(FunctionCallInfo fcinfo, bits32) {
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (result == nullptr || !IsA(result, ReturnSetInfo))
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("set-valued function called in context that cannot accept a set")));
  if ((result->allowedModes & SFRM_Materialize) == 0)
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("materialize mode required, but it is not allowed in this context")));
  MemoryContext before = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
  TupleDesc descriptor = nullptr;
  if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  result->returnMode = SFRM_Materialize;
  result->setResult =
      tuplestore_begin_heap((result->allowedModes & SFRM_Materialize_Random) != 0, false, work_mem);
  result->setDesc = descriptor;
  MemoryContextSwitchTo(before);
}

#endif
