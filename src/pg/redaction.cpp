#include "pg/redaction.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <string_view>

#include "pg/postgres.hpp"
#include "pg/settings.hpp"

extern "C" {
#include "access/parallel.h"
#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "parser/scansup.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
}

namespace trustpoint::pg {
namespace {

// The last statement that has called: when it began, and its text, which Execute shares with its Bind.
struct {
  TimestampTz start = -1;
  std::size_t text = 0;
} caller;

emit_log_hook_type next_hook;
ErrorData* redacted;  // the one that is being logged without its values

constexpr char kLeftOut[] = "(left out by trustpoint.redact_log)";

bool IsWordByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$' ||
         (static_cast<unsigned char>(c) & 0x80) != 0;
}

// Whether a text has a word that begins with tp_ or tpsec_, as all names of ours do. An identifier with
// escapes (U&"...") may be one of them.
bool NamesOurs(const char* text) {
  if (text == nullptr) return false;
  char before = ' ';
  for (const char* at = text; *at != '\0'; before = *at++) {
    if (*at != 't' && *at != 'T' && *at != 'u' && *at != 'U') continue;
    if (IsWordByte(before)) continue;
    if (pg_strncasecmp(at, "tp_", 3) == 0 || pg_strncasecmp(at, "tpsec_", 6) == 0 ||
        pg_strncasecmp(at, "u&\"", 3) == 0)
      return true;
  }
  return false;
}

std::size_t HashOfStatement() {
  return debug_query_string == nullptr ? 0 : std::hash<std::string_view>{}(debug_query_string);
}

// Whether the message is of a deferred check or trigger perhaps, in COMMIT or SET CONSTRAINTS or their kin:
// it tells of rows that any statement of the transaction has written.
bool MayBeDeferred(const ErrorData& error) {
  if (error.elevel < ERROR && error.context == nullptr) return false;  // COMMIT itself
  for (const char* at = debug_query_string; at != nullptr; at = std::strchr(at, ';')) {
    while (*at == ';' || scanner_isspace(*at)) ++at;
    if (*at == '/' || *at == '-') return true;  // a comment may stand before it
    for (const std::string_view command : {"commit", "end", "prepare", "set"})
      if (pg_strncasecmp(at, command.data(), command.size()) == 0) return true;
  }
  return debug_query_string == nullptr;  // Sync
}

// Whether the detail is of statements of others, of which a crash or a deadlock shows no more than the
// beginning, and is so long that one of them may name us where it is cut off.
bool IsCutOff(const ErrorData& error) {
  if (IsUnderPostmaster && error.sqlerrcode != ERRCODE_T_R_DEADLOCK_DETECTED) return false;
  constexpr int kShownOfCrash = 1024;  // by the postmaster, whatever is kept
  const char* detail = error.detail_log != nullptr ? error.detail_log : error.detail;
  const int shown = std::min(kShownOfCrash, pgstat_track_activity_query_size) - MAX_MULTIBYTE_CHAR_LEN;
  return detail != nullptr && std::strlen(detail) >= static_cast<std::size_t>(shown);
}

bool BelongsToCall(const ErrorData& error) {
  if (caller.start == GetCurrentStatementStartTimestamp()) return true;
  if (caller.text != 0 && caller.text == HashOfStatement()) return true;
  if (caller.start >= GetCurrentTransactionStartTimestamp() && MayBeDeferred(error)) return true;
  // What a parallel worker says is logged by itself, which knows whether it has called, and by its leader.
  if (IsInParallelMode() && !IsParallelWorker() && error.context != nullptr) return true;
  if (IsCutOff(error)) return true;
  for (const char* text :
       {debug_query_string, static_cast<const char*>(error.message), static_cast<const char*>(error.detail),
        static_cast<const char*>(error.detail_log), static_cast<const char*>(error.context),
        static_cast<const char*>(error.internalquery)})
    if (NamesOurs(text)) return true;
  return false;
}

// Messages of ours hold no values, and say so by their domain. But see WithoutName.
bool IsOurs(const ErrorData& error) {
  return error.domain != nullptr && std::strcmp(error.domain, TEXTDOMAIN) == 0;
}

bool MustRedact(const ErrorData& error) {
  // An audit line has nothing to leave out, and is written for every use of a key.
  if (error.hide_stmt && error.hide_ctx && error.internalquery == nullptr && IsOurs(error)) return false;
  switch (RedactLogLevel()) {
    case RedactLog::kOff:
      return false;
    case RedactLog::kCalls:
      return BelongsToCall(error);
    case RedactLog::kAll:  // the postmaster tells what a backend that crashed was running
      return OidIsValid(MyDatabaseId) || (!IsUnderPostmaster && error.detail != nullptr);
  }
  return true;
}

// The message without its values: its format, which is a constant of somebody's source text, or what came
// before the values.
const char* WithoutValues(const ErrorData& error, char* buffer, size_t size) {
  const char* format = error.message_id;
  if (format == nullptr || std::strcmp(format, "%s") == 0) return kLeftOut;
  if (std::strchr(format, '%') == nullptr || std::strcmp(format, "duration: %s ms") == 0)
    return error.message;
  const char* unit =
      std::strncmp(format, "duration: %", 11) == 0 ? std::strstr(error.message, " ms") : nullptr;
  if (unit != nullptr)
    snprintf(buffer, size, "%.*s %s", static_cast<int>(unit + 3 - error.message), error.message, kLeftOut);
  else if (std::strstr(format, "%m") != nullptr)
    snprintf(buffer, size, "%s: %s %s", format, strerror(error.saved_errno), kLeftOut);
  else
    snprintf(buffer, size, "%s %s", format, kLeftOut);
  return buffer;
}

// The name of a key or DEK that is not there may be data in the wrong place. It may have quotes itself.
const char* WithoutName(const ErrorData& error, char* buffer, size_t size) {
  if (error.sqlerrcode != ERRCODE_UNDEFINED_OBJECT) return error.message;
  for (const char* before : {"key \"", "DEK named \""})
    if (const char* name = std::strstr(error.message, before)) {
      const int length = static_cast<int>(name + std::strlen(before) - error.message);
      snprintf(buffer, size, "%.*s...%s", length, error.message, std::strrchr(name, '"'));
      return buffer;
    }
  return error.message;
}

// Whether the message, other than detail and context, may show values: in all processes that run statements,
// also between two statements, as a portal ends there. Other processes speak of themselves.
bool MayHoldValues(const ErrorData& error) {
  if (!IsUnderPostmaster && !IsPostmasterEnvironment) return true;  // a single-user server
  if (!IsUnderPostmaster) return false;
  if (MyBackendType == B_AUTOVAC_WORKER) return error.elevel >= ERROR;  // it evaluates expressions of indexes
  return error.message_id == nullptr || std::strncmp(error.message_id, "disconnection: ", 15) != 0;
}

// What is logged and what the client gets are fields of one struct. So it is reported twice, by PostgreSQL
// itself: to the log without its values, from here; to the client as it was, by who called us.
void LogWithoutValues(ErrorData* error) {
  const ErrorData before = *error;
  char buffer[1024];
  error->output_to_client = false;
  error->hide_stmt = true;
  error->context = nullptr;
  error->internalquery = nullptr;
  error->internalpos = error->cursorpos = 0;
  if (IsOurs(before)) {
    error->message = const_cast<char*>(WithoutName(before, buffer, sizeof buffer));
  } else {
    if (MayHoldValues(before))
      error->message = const_cast<char*>(WithoutValues(before, buffer, sizeof buffer));
    if (before.detail != nullptr || before.detail_log != nullptr) error->detail = const_cast<char*>(kLeftOut);
    error->detail_log = nullptr;
    error->hint = nullptr;
  }
  ErrorData* const outer = redacted;
  redacted = error;
  PG_TRY();
  { EmitErrorReport(); }
  PG_FINALLY();
  {
    redacted = outer;
    *error = before;
    error->output_to_server = false;
  }
  PG_END_TRY();
}

// No catalog access, and nothing that allocates: it may run at any moment.
extern "C" void TrustpointLogs(ErrorData* error) {
  if (error != redacted && error->output_to_server && MustRedact(*error))
    LogWithoutValues(error);  // which calls us again, with what is left
  else if (next_hook != nullptr)
    next_hook(error);
}

}  // namespace

// On the path of every value.
void NoteCall() noexcept {
  const TimestampTz start = GetCurrentStatementStartTimestamp();
  if (start != caller.start) [[unlikely]]
    caller = {start, HashOfStatement()};
}

void WatchLog() {
  next_hook = emit_log_hook;
  emit_log_hook = TrustpointLogs;
}

}  // namespace trustpoint::pg
