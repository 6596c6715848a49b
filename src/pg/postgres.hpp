// PostgreSQL's headers for C++, with what differs between versions 14 and 18. Include after the C++ headers:
// port.h redefines printf and its kin.
#pragma once

#ifndef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#endif

extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/wait_event.h"
}

// The domain of our messages. There is no translation of it; trustpoint.redact_log knows our messages by it.
#undef TEXTDOMAIN
#define TEXTDOMAIN "trustpoint"

// Counts an error of ours, for tp_stat: wherever it is raised.
namespace trustpoint::pg {
void CountFailure(int sqlstate) noexcept;
}
#define errcode(sqlstate) (::trustpoint::pg::CountFailure(sqlstate), (errcode)(sqlstate))

// For trustpoint.redact_log: the running statement has called a function of ours, whatever its text says.
namespace trustpoint::pg {
void NoteCall() noexcept;
}

// Declares and opens the definition of a function that SQL calls.
#define TP_SQL_FUNCTION(name)                           \
  static Datum name##Body(PG_FUNCTION_ARGS);            \
  extern "C" {                                          \
  PG_FUNCTION_INFO_V1(name);                            \
  }                                                     \
  extern "C" PGDLLEXPORT Datum name(PG_FUNCTION_ARGS) { \
    ::trustpoint::pg::NoteCall();                       \
    return name##Body(fcinfo);                          \
  }                                                     \
  static Datum name##Body(PG_FUNCTION_ARGS)

#if PG_VERSION_NUM < 150000
// The tuplestore of a set-returning function, as InitMaterializedSRF gives it from 15 on.
extern "C" void InitMaterializedSRF(FunctionCallInfo fcinfo, bits32 flags);
#endif
