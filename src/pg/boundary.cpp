#include "pg/boundary.hpp"

#include "pg/postgres.hpp"
#include "pg/text.hpp"

namespace trustpoint::pg {
namespace {

int SqlState(base::ErrorCode code) {
  using base::ErrorCode;
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return ERRCODE_INVALID_PARAMETER_VALUE;
    case ErrorCode::kInvalidText:
      return ERRCODE_CHARACTER_NOT_IN_REPERTOIRE;
    case ErrorCode::kNotAValue:
      return ERRCODE_INVALID_BINARY_REPRESENTATION;
    case ErrorCode::kAuthenticationFailed:
      return ERRCODE_DATA_EXCEPTION;
    case ErrorCode::kTooLarge:
      return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
    case ErrorCode::kNotFound:
      return ERRCODE_UNDEFINED_OBJECT;
    case ErrorCode::kExists:
      return ERRCODE_DUPLICATE_OBJECT;
    case ErrorCode::kNotConfigured:
      return ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
    case ErrorCode::kWrongKek:
    case ErrorCode::kDamagedKey:
      return ERRCODE_DATA_CORRUPTED;
    case ErrorCode::kTokenUnreachable:
      return ERRCODE_SYSTEM_ERROR;
    case ErrorCode::kTokenRefused:
      return ERRCODE_EXTERNAL_ROUTINE_EXCEPTION;
    case ErrorCode::kOutOfMemory:
      return ERRCODE_OUT_OF_MEMORY;
    case ErrorCode::kInternal:
    case ErrorCode::kNeedStart:
    case ErrorCode::kBusy:
      return ERRCODE_INTERNAL_ERROR;
  }
  return ERRCODE_INTERNAL_ERROR;
}

}  // namespace

void Raise(const base::Failure& failure) {
  const char* detail = failure.detail[0] != '\0' ? ShownFromUtf8(failure.detail) : nullptr;
  const char* hint = failure.hint[0] != '\0' ? ShownFromUtf8(failure.hint) : nullptr;
  ereport(ERROR, (errcode(SqlState(failure.code)), errmsg_internal("%s", ShownFromUtf8(failure.message)),
                  detail != nullptr ? errdetail_internal("%s", detail) : 0,
                  hint != nullptr ? errhint("%s", hint) : 0));
  pg_unreachable();
}

}  // namespace trustpoint::pg
