#include "pg/audit.hpp"

#include "pg/postgres.hpp"
#include "pg/settings.hpp"
#include "pg/text.hpp"

extern "C" {
#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/json.h"
}

namespace trustpoint::pg {
namespace {

constexpr int kMostShown = 255;  // bytes of a label or a URI

void AppendMember(StringInfo line, const char* name, const char* value) {
  appendStringInfo(line, "%s\"%s\": ", line->len > 1 ? ", " : "", name);
  escape_json(line, value);  // nobody forges a line with a newline in a label
}

// Empty where the role has been dropped while its session lives.
const char* RoleName() {
  const char* name = GetUserNameFromId(GetUserId(), true);
  return name != nullptr ? name : "";
}

void Write(StringInfo line) {
  appendStringInfoChar(line, '}');
  // The statement would bring its literals into the log.
  ereport(LOG_SERVER_ONLY,
          (errmsg_internal("trustpoint audit: %s", line->data), errhidestmt(true), errhidecontext(true)));
  pfree(line->data);
}

void Log(const char* event, const char* name, std::uint32_t id) {
  StringInfoData line;
  initStringInfo(&line);
  appendStringInfoChar(&line, '{');
  AppendMember(&line, "event", event);
  AppendMember(&line, "role", RoleName());
  const char* database = get_database_name(MyDatabaseId);
  AppendMember(&line, "database", database != nullptr ? database : "");
  if (name != nullptr) AppendMember(&line, "key", ShownFromUtf8(name));
  if (id != 0) appendStringInfo(&line, ", \"key_id\": %u", id);
  Write(&line);
}

}  // namespace

void AuditKey(const char* event, const char* name, std::uint32_t id) {
  if (AuditLevel() != Audit::kNone) Log(event, name, id);
}

void AuditValue(const char* function, const char* name, std::uint32_t id) {
  if (AuditLevel() == Audit::kAll) Log(function, name, id);
}

KeyUse* BeginUse(const char* function, std::string_view label, const char* algorithm) {
  auto* use = static_cast<KeyUse*>(palloc0(sizeof(KeyUse)));
  if (AuditLevel() == Audit::kNone) return use;
  const char* database = get_database_name(MyDatabaseId);
  // Cut before it is copied: what is no label may be a value of any size.
  const int size = pg_mbcliplen(label.data(), static_cast<int>(label.size()), kMostShown);
  *use = {function,   pnstrdup(label.data(), static_cast<size_t>(size)),
          false,      algorithm,
          RoleName(), database != nullptr ? database : ""};
  return use;
}

void EndUse(const KeyUse& use, const char* outcome) {
  if (use.function == nullptr) return;
  StringInfoData line;
  initStringInfo(&line);
  appendStringInfoChar(&line, '{');
  AppendMember(&line, "event", "use_key");
  AppendMember(&line, "role", use.role);
  AppendMember(&line, "database", use.database);
  AppendMember(&line, "function", use.function);
  if (use.is_key) AppendMember(&line, "key", use.label);
  if (use.algorithm != nullptr) AppendMember(&line, "algorithm", use.algorithm);
  AppendMember(&line, "outcome", outcome);
  Write(&line);
}

}  // namespace trustpoint::pg
