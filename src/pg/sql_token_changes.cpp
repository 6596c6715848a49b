// tp_rename_key, tp_set_key_attributes, tp_destroy_key, tp_token_key_id: changes to keys of the token.
#include "hsm/guard.hpp"
#include "pg/audit.hpp"
#include "pg/bytes_result.hpp"
#include "pg/rights.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/token_catalog.hpp"
#include "pg/token_keys.hpp"
#include "pg/token_row.hpp"
#include "pg/token_store.hpp"
#include "pg/token_transaction.hpp"

extern "C" {
#include "utils/date.h"
#include "utils/datetime.h"
}

namespace trustpoint::pg {
namespace {

using pkcs11::Session;

// What has no CKA_ID of its own could be mistaken for another key; a longer one has no place in a row.
void RequireId(const KnownKey& known) {
  if (known.id.size == 0)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("the key has no CKA_ID, or one of more than %zu bytes", sizeof known.id.bytes),
                    errhint("Give it one of its own with the tools of the token.")));
}

// Rows have labels as text, and whole; other tools may have given a key one that is not. One byte short of
// the room, as what fills it may be cut off.
constexpr std::size_t kMaxRowLabel = sizeof TokenKeyRow::label - 2;

bool FitsRow(std::string_view label) { return label.size() <= kMaxRowLabel && IsUtf8(label); }

[[noreturn]] void RaiseLabel(const KnownKey& known, const char* hint) {
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                  known.label.empty()
                      ? errmsg("the key has no label")
                      : errmsg("the label of the key is not UTF-8, or longer than %zu bytes", kMaxRowLabel),
                  errhint("%s", hint)));
  pg_unreachable();
}

// The key that other tools made, as the token describes it, in a row of this database. What an AES key has
// encrypted so far keeps its label of then, which may be none.
void Adopt(const KnownKey& known, std::string_view label) {
  Described described = {};
  WithTokenKey(known, [&](Session&, const hsm::TokenKey& key) { described = Describe(key); });
  NewRow row = described.Row(known.id, pnstrdup(label.data(), label.size()));
  if (FitsRow(known.bound_label))
    row.bound_label = pstrdup(known.bound_label.c_str());
  else if (known.type == crypto::KeyType::kAes)
    RaiseLabel(known,
               "Decrypt what it has encrypted, which is bound to the label; then give it another one with "
               "the tools of the token.");
  InsertTokenKey(row);
}

// SQL knows the keys of this database by their labels. name: what the caller called it by.
void RequireLabel(const KnownKey& known, std::string_view name) {
  if (known.label.empty() || !FitsRow(known.label))
    RaiseLabel(known, psprintf("Give it a new one: SELECT tp_rename_key(%s, 'new label');",
                               quote_literal_cstr(ShownFromUtf8(name))));
}

// The key to be changed, with its label locked.
const KnownKey& KeyToChange(FunctionCallInfo fcinfo, const char* function, const Utf8& label) {
  RefreshTokenKeys(fcinfo);
  // Who may not, waits for nobody. The argument may be a URI.
  const char* const locked = pstrdup(FindTokenKey(label.view(), Operation::kManage).label.c_str());
  BeginTokenChange(fcinfo, function);
  LockLabel(locked);
  RefreshTokenKeys(fcinfo);
  const KnownKey& known = FindTokenKey(label.view(), Operation::kManage);
  RequireId(known);
  return known;
}

struct Date {
  char text[16];  // "2026-01-31"
};

// False: NULL, leave it as it is.
bool DateArgument(FunctionCallInfo fcinfo, int number, Date* date) {
  if (PG_ARGISNULL(number)) return false;
  const DateADT value = PG_GETARG_DATEADT(number);
  int year = 0, month, day;
  if (!DATE_NOT_FINITE(value)) j2date(value + POSTGRES_EPOCH_JDATE, &year, &month, &day);
  if (year < 1 || year > 9999)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the date has no place in the token"),
                    errhint("Years are 1 to 9999.")));
  snprintf(date->text, sizeof date->text, "%04d-%02d-%02d", year, month, day);
  return true;
}

// What the attribute is now, in the half that shows it.
Date DateNow(const KnownKey& known, const char* attribute) {
  Date now = {};
  WithTokenKey(known, [&](Session& session, const hsm::TokenKey& key) {
    for (const hsm::AttributeInfo& info : hsm::ReadAttributes(session, key))
      if (info.name == attribute && !info.value.empty())
        snprintf(now.text, sizeof now.text, "%s", info.value.c_str());
  });
  return now;
}

void SetDate(const KnownKey& known, const char* attribute, const Date& date) {
  const Date before = DateNow(known, attribute);
  WillSetDate(known.id, attribute, before.text);
  WithTokenKey(known, [&](Session& session, const hsm::TokenKey& key) {
    hsm::SetKeyAttribute(session, key, attribute, date.text);
  });
}

void RenameInToken(const KeyId& id, std::string_view label, std::string_view new_label) {
  WillRenameKey(id);
  RunWithKeys([&](pkcs11::Connection& connection) {
    connection.Run(pkcs11::Level::kLogin, [&](Session& session) {
      const hsm::TokenKey key = hsm::FindKey(session, {label, id.view()});
      NoteLabels(hsm::ReadLabels(session, key));
      hsm::RenameKey(session, key, new_label);
      ThisBackend().token_keys.Forget();
    });
  });
}

// Whether other tools have destroyed the key, so that only its row is left. Raises what else is wrong with
// it.
bool IsGone(const KnownKey& known) {
  Backend& backend = ThisBackend();
  base::Failure failure;
  const bool found = TryWithKeys(&failure, [&](pkcs11::Connection& connection) {
    connection.Run(pkcs11::Level::kLogin,
                   [&](Session& session) { (void)hsm::FindKey(session, known.ref()); });
  });
  if (found) return false;
  const bool its_token = known.has_row && backend.connection.token().serial == known.token_serial;
  if (failure.code != base::ErrorCode::kNotFound || !its_token) Raise(failure);
  return true;
}

// Makes room for a new key of the label in this very transaction. A key without a row could not get its label
// back after a crash.
void FreeLabel(const KnownKey& known) {
  if (known.has_row) RenameInToken(known.id, known.label, DestroyedLabel(known.id));
}

}  // namespace

// tp_rename_key(label text, new_label text) RETURNS void
TP_SQL_FUNCTION(tp_rename_key) {
  const Utf8 label = TextArgument(fcinfo, 0, "label");
  const Utf8 new_label = TextArgument(fcinfo, 1, "new_label");
  FindTokenTables(fcinfo);
  CheckNewKeyLabel(new_label.view());
  (void)KeyToChange(fcinfo, "tp_rename_key()", label);
  LockLabel(new_label.view());
  RefreshTokenKeys(fcinfo);
  RefuseTakenLabel(new_label.view());
  const KnownKey& known = FindTokenKey(label.view(), Operation::kManage);
  const KeyId id = known.id;
  const char* const old_label = pstrdup(known.label.c_str());
  if (known.has_row)
    RenameTokenKey(id, new_label.view());
  else
    Adopt(known, new_label.view());
  RenameInToken(id, old_label, new_label.view());
  AuditKey("rename_key", pnstrdup(new_label.data, new_label.size), 0);
  PG_RETURN_VOID();
}

// tp_set_key_attributes(label text, start_date date, end_date date) RETURNS void
TP_SQL_FUNCTION(tp_set_key_attributes) {
  const Utf8 label = TextArgument(fcinfo, 0, "label");
  Date start, end;
  const bool set_start = DateArgument(fcinfo, 1, &start);
  const bool set_end = DateArgument(fcinfo, 2, &end);
  if (set_start && set_end && strcmp(start.text, end.text) > 0)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the key would end before it starts")));
  const KnownKey& known = KeyToChange(fcinfo, "tp_set_key_attributes()", label);
  if (set_start) SetDate(known, "CKA_START_DATE", start);
  if (set_end) SetDate(known, "CKA_END_DATE", end);
  PG_RETURN_VOID();
}

// tp_destroy_key(label text) RETURNS void
TP_SQL_FUNCTION(tp_destroy_key) {
  const Utf8 label = TextArgument(fcinfo, 0, "label");
  const KnownKey& known = KeyToChange(fcinfo, "tp_destroy_key()", label);
  const KeyId id = known.id;
  const char* const old_label = pstrdup(known.label.c_str());
  const bool has_row = known.has_row;
  // That it is there, and alone with its id, is known before anybody relies on its end.
  if (!IsGone(known)) FreeLabel(known);
  WillDestroyKey(id);
  MoveToTrash(id, old_label, has_row);
  AuditKey("destroy_key", old_label, 0);
  PG_RETURN_VOID();
}

// tp_token_key_id(label text) RETURNS bytea
TP_SQL_FUNCTION(tp_token_key_id) {
  const Utf8 label = TextArgument(fcinfo, 0, "label");
  FindTokenTables(fcinfo);
  if (!RoleIsOwner(GetUserId()))
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("only the owner of the extension and superusers may take keys of the token in")));
  RefreshTokenKeys(fcinfo);
  const KnownKey* known = &FindTokenKey(label.view(), Operation::kManage);
  if (!known->has_row) {
    known = &KeyToChange(fcinfo, "tp_token_key_id()", label);
    RequireLabel(*known, label.view());
    if (!known->has_row) Adopt(*known, known->label);
  }
  return CopyBytes(known->id.view());
}

}  // namespace trustpoint::pg
