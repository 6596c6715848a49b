// tp_move_to_token: all DEKs under a KEK of another token, of another module too.
//
// A process talks to one module at a time, as two may be one library with two configurations. So the DEKs are
// opened here, carried over in locked memory, wrapped and opened again there, and only then written.
#include "keyring/dek.hpp"
#include "pg/audit.hpp"
#include "pg/keys.hpp"
#include "pg/new_kek.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/store.hpp"
#include "pg/token.hpp"
#include "pg/token_transaction.hpp"
#include "pg/wrapped_deks.hpp"

namespace trustpoint::pg {
namespace {

using keyring::KekRow;
using pkcs11::Connection;
using pkcs11::Level;
using pkcs11::Session;

// Opens each DEK on the token of the settings, with every check. Can be cancelled between two.
void UnwrapAll(const WrappedDeks& deks) {
  std::vector<base::Secret>& opened = ThisBackend().moving_deks;
  const auto count = static_cast<std::size_t>(deks.count);
  opened.clear();
  while (opened.size() < count) {
    CHECK_FOR_INTERRUPTS();
    RunOnToken(Level::kLogin, Gate::kForStart, [&](Connection& connection) {
      connection.Run(Level::kLogin, [&](Session& session) {
        while (opened.size() < count && !InterruptPending) {
          keyring::Kek kek(session, deks.keks[opened.size()]);
          opened.push_back(keyring::UnwrapDek(kek, deks.rows[opened.size()]));
        }
      });
    });
  }
}

// Wraps each on the other token, and opens it again from what became of it.
void WrapAll(const KekRow& kek_row, const WrappedDeks& deks) {
  int next = 0;
  while (next < deks.count) {
    CHECK_FOR_INTERRUPTS();
    RunOnToken(Level::kLogin, Gate::kForStart, [&](Connection& connection) {
      connection.Run(Level::kLogin, [&](Session& session) {
        keyring::Kek kek(session, kek_row);
        for (; next < deks.count && !InterruptPending; ++next)
          keyring::WrapDek(kek, ThisBackend().moving_deks[static_cast<std::size_t>(next)].view(),
                           &deks.changed[next]);
      });
    });
  }
}

// Errors there name the settings that they come from in every other function.
void SayWhichToken(void*) {
  errcontext("on the token to move to, whose settings are the arguments of tp_move_to_token()");
}

const char* Setting(const char* name, const char* value) {
  return psprintf("trustpoint.%s = %s\n", name, quote_literal_cstr(value));
}

}  // namespace

// tp_move_to_token(module text, token text, pin_file text, environment text, init_args text, kek_label text)
//     RETURNS int
TP_SQL_FUNCTION(tp_move_to_token) {
  static constexpr const char* kNames[] = {"module",      "token",     "pin_file",
                                           "environment", "init_args", "kek_label"};
  const char* arguments[6];  // in the database's encoding, to be shown
  Utf8 utf8[6];
  for (int i = 0; i < 6; ++i) {
    utf8[i] = TextArgument(fcinfo, i, kNames[i]);
    arguments[i] = text_to_cstring(PG_GETARG_TEXT_PP(i));
  }
  // It loads a library and reads a file of the caller's choice.
  if (!superuser())
    ereport(ERROR,
            (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("only superusers may move to another token")));
  BeginKeyChange(fcinfo, "tp_move_to_token()");
  if (HasChangedKeys())
    ereport(ERROR,
            (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
             errmsg("tp_move_to_token() cannot follow changes of keys of the token in one transaction"),
             errhint("Commit them first.")));
  (void)NewestKek();
  const WrappedDeks deks = ReadWrappedDeks();
  UnwrapAll(deks);

  Backend& backend = ThisBackend();
  const auto text = [&](int i) { return std::string(utf8[i].view()); };
  Run([&] { backend.elsewhere = {text(0), text(3), text(4), text(1), text(2)}; });
  ErrorContextCallback context = {error_context_stack, SayWhichToken, nullptr};
  error_context_stack = &context;
  const KekRow kek = FindOrCreateNewKek(fcinfo, utf8[5].view());
  WrapAll(kek, deks);
  error_context_stack = context.previous;
  backend.StopMoving();

  InsertKek(kek);
  const int count = StoreWrappedDeks(deks);
  AuditKey("move_to_token", kek.label, 0);
  ereport(
      NOTICE,
      (errmsg(
           "%d DEKs are wrapped for the token with serial %s; set this and reload at once after the commit",
           count, kek.token_serial),
       errdetail("%s%s%s%s%s%s", Setting("pkcs11_module", arguments[0]), Setting("token", arguments[1]),
                 Setting("pin_file", arguments[2]), Setting("module_environment", arguments[3]),
                 Setting("module_init_args", arguments[4]), Setting("kek_label", arguments[5])),
       errhint("Until then no session can open a DEK. Then look with tp_verify_keys().")));
  PG_RETURN_INT32(count);
}

}  // namespace trustpoint::pg
