// tp_hsm_*: the module, its slots and mechanisms, the token's initialisation and login.
#include "pg/audit.hpp"
#include "pg/backend.hpp"
#include "pg/catalog.hpp"
#include "pg/postgres.hpp"
#include "pg/result_row.hpp"
#include "pg/rights.hpp"
#include "pg/settings.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/token.hpp"
#include "pkcs11/softhsm_files.hpp"

extern "C" {
#include "tcop/utility.h"
}

namespace trustpoint::pg {
namespace {

using pkcs11::Connection;
using pkcs11::Level;
using pkcs11::Session;

struct FlagName {
  CK_FLAGS bit;
  const char* name;
};

constexpr FlagName kTokenFlags[] = {
    {CKF_RNG, "rng"},
    {CKF_WRITE_PROTECTED, "write_protected"},
    {CKF_LOGIN_REQUIRED, "login_required"},
    {CKF_USER_PIN_INITIALIZED, "user_pin_initialized"},
    {CKF_PROTECTED_AUTHENTICATION_PATH, "protected_authentication_path"},
    {CKF_TOKEN_INITIALIZED, "token_initialized"},
    {CKF_USER_PIN_COUNT_LOW, "user_pin_count_low"},
    {CKF_USER_PIN_FINAL_TRY, "user_pin_final_try"},
    {CKF_USER_PIN_LOCKED, "user_pin_locked"},
    {CKF_USER_PIN_TO_BE_CHANGED, "user_pin_to_be_changed"},
    {CKF_SO_PIN_COUNT_LOW, "so_pin_count_low"},
    {CKF_SO_PIN_FINAL_TRY, "so_pin_final_try"},
    {CKF_SO_PIN_LOCKED, "so_pin_locked"},
};

constexpr FlagName kMechanismFlags[] = {
    {CKF_HW, "hardware"},       {CKF_ENCRYPT, "encrypt"},
    {CKF_DECRYPT, "decrypt"},   {CKF_DIGEST, "digest"},
    {CKF_SIGN, "sign"},         {CKF_SIGN_RECOVER, "sign_recover"},
    {CKF_VERIFY, "verify"},     {CKF_VERIFY_RECOVER, "verify_recover"},
    {CKF_GENERATE, "generate"}, {CKF_GENERATE_KEY_PAIR, "generate_key_pair"},
    {CKF_WRAP, "wrap"},         {CKF_UNWRAP, "unwrap"},
    {CKF_DERIVE, "derive"},
};

constexpr CK_SLOT_ID kAnySlot = ~CK_SLOT_ID{0};

CK_SLOT_ID FirstUninitialized(pkcs11::Module& module, std::string_view label) {
  const std::vector<pkcs11::TokenInfo> slots = pkcs11::ListSlots(module);
  for (const pkcs11::TokenInfo& slot : slots)
    if (slot.initialized() && slot.label == label)
      throw base::Error(base::ErrorCode::kExists, "there is a token with this label already", {},
                        "With a slot, of tp_hsm_slots(), there can be a second one; trustpoint.token then "
                        "needs its serial.");
  for (const pkcs11::TokenInfo& slot : slots)
    if (slot.token_present && !slot.initialized()) return slot.slot;
  throw base::Error(base::ErrorCode::kNotFound, "no slot holds a token that is not initialised", {},
                    "Name the slot; tp_hsm_slots() lists them.");
}

}  // namespace

// tp_hsm_info() RETURNS one row
TP_SQL_FUNCTION(tp_hsm_info) {
  Backend& backend = ThisBackend();
  RunOnToken(Level::kToken, Gate::kForStart, [&](Connection& connection) {
    connection.Run(Level::kToken, [&](Session& session) { backend.module_info = session.module().Info(); });
  });
  const pkcs11::TokenInfo& token = backend.connection.token();
  ResultRow row;
  row.Text(backend.module_info.path.c_str());
  row.TokenText(backend.module_info.manufacturer.c_str());
  row.TokenText(backend.module_info.description.c_str());
  row.Text(backend.module_info.version.c_str());
  row.Text(backend.module_info.cryptoki_version.c_str());
  row.Bigint(token.slot);
  row.TokenText(token.label.c_str());
  row.TokenText(token.manufacturer.c_str());
  row.TokenText(token.model.c_str());
  row.TokenText(token.serial.c_str());
  row.Text(token.firmware_version.c_str());
  row.Int(static_cast<int>(token.min_pin));
  row.Int(static_cast<int>(token.max_pin));
  row.Flags(token.flags, kTokenFlags);
  return row.Composite(fcinfo);
}

// tp_hsm_slots() RETURNS TABLE
TP_SQL_FUNCTION(tp_hsm_slots) {
  Backend& backend = ThisBackend();
  RunOnToken(Level::kModule, Gate::kHeld, [&](Connection& connection) {
    connection.Run(Level::kModule,
                   [&](Session& session) { backend.slots = pkcs11::ListSlots(session.module()); });
  });
  InitMaterializedSRF(fcinfo, 0);
  for (std::size_t i = 0; i < backend.slots.size(); ++i) {
    const pkcs11::TokenInfo& slot = backend.slots[i];
    ResultRow row;
    row.Bigint(slot.slot);
    row.TokenText(slot.slot_description.c_str());
    row.Bool(slot.token_present);
    row.Bool(slot.initialized());
    row.TokenTextOrNull(slot.label.c_str());
    row.TokenTextOrNull(slot.manufacturer.c_str());
    row.TokenTextOrNull(slot.model.c_str());
    row.TokenTextOrNull(slot.serial.c_str());
    row.Flags(slot.flags, kTokenFlags);
    row.Put(fcinfo);
  }
  return Datum{0};
}

// tp_hsm_mechanisms() RETURNS TABLE
TP_SQL_FUNCTION(tp_hsm_mechanisms) {
  Backend& backend = ThisBackend();
  RunOnToken(Level::kToken, Gate::kForStart, [&](Connection& connection) {
    connection.Run(Level::kToken, [&](Session& session) {
      backend.mechanisms = pkcs11::ListMechanisms(session.module(), session.slot());
    });
  });
  InitMaterializedSRF(fcinfo, 0);
  for (std::size_t i = 0; i < backend.mechanisms.size(); ++i) {
    const pkcs11::MechanismInfo& mechanism = backend.mechanisms[i];
    ResultRow row;
    row.Text(mechanism.name.c_str());
    row.Bigint(mechanism.type);
    row.Bigint(mechanism.min_key_size);
    row.Bigint(mechanism.max_key_size);
    row.Flags(mechanism.flags, kMechanismFlags);
    row.Put(fcinfo);
  }
  return Datum{0};
}

// tp_hsm_init_token(label text, slot bigint, force boolean) RETURNS text
TP_SQL_FUNCTION(tp_hsm_init_token) {
  const Utf8 label = TextArgument(fcinfo, 0, "label");
  const CK_SLOT_ID slot = PG_ARGISNULL(1) ? kAnySlot : static_cast<CK_SLOT_ID>(PG_GETARG_INT64(1));
  if (!PG_ARGISNULL(1) && PG_GETARG_INT64(1) < 0)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a slot has no negative number"),
                    errhint("tp_hsm_slots() lists them.")));
  RequireArgument(fcinfo, 2, "force");
  const bool force = PG_GETARG_BOOL(2);
  PreventCommandIfReadOnly("tp_hsm_init_token()");
  FindTables(fcinfo);
  if (!RoleIsOwner(GetUserId()))
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("only the owner of the extension and superusers may initialise a token")));
  Backend& backend = ThisBackend();
  RunOnToken(Level::kModule, Gate::kHeld, [&](Connection& connection) {
    connection.Run(Level::kModule, [&](Session& session) {
      pkcs11::Module& module = session.module();
      session.MarkSent();
      const pkcs11::Pin so_pin = pkcs11::ReadPin(SoPinFile(), "trustpoint.so_pin_file");
      const pkcs11::Pin pin = pkcs11::ReadPin(CurrentConfig().pin_file, "trustpoint.pin_file");
      const CK_SLOT_ID chosen = slot == kAnySlot ? FirstUninitialized(module, label.view()) : slot;
      backend.text = pkcs11::InitToken(module, chosen, std::string(label.view()), so_pin, pin, force).serial;
      (void)pkcs11::MendSoftHsmFiles(CurrentConfig().module);  // the copy that PINs of before would open
    });
  });
  AuditKey("init_token", pnstrdup(label.data, label.size), 0);
  PG_RETURN_TEXT_P(cstring_to_text(Printable(backend.text.c_str())));
}

}  // namespace trustpoint::pg
