// tp_generate_*, tp_import_key, tp_import_key_file: new keys in the token.
#include <optional>

#include "crypto/private_key.hpp"
#include "crypto/random.hpp"
#include "hsm/guard.hpp"
#include "hsm/make_key.hpp"
#include "pg/audit.hpp"
#include "pg/bytes_result.hpp"
#include "pg/rights.hpp"
#include "pg/secret_file.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/token_catalog.hpp"
#include "pg/token_keys.hpp"
#include "pg/token_row.hpp"
#include "pg/token_store.hpp"
#include "pg/token_transaction.hpp"

extern "C" {
#include "catalog/pg_authid.h"
#include "utils/acl.h"
}

namespace trustpoint::pg {
namespace {

using pkcs11::Connection;
using pkcs11::Level;
using pkcs11::Session;

[[noreturn]] void RaiseUnknown(const char* what, const char* choice) {
  ereport(ERROR,
          (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown %s", what), errhint("Use %s.", choice)));
  pg_unreachable();
}

hsm::Usage UsageArgument(FunctionCallInfo fcinfo, int number) {
  const auto usage = hsm::UsageFromName(TextArgument(fcinfo, number, "usage").view());
  if (!usage) RaiseUnknown("usage of a key", "sign or decrypt; a key never does both");
  return *usage;
}

unsigned BitsArgument(FunctionCallInfo fcinfo, int number, void (*check)(unsigned)) {
  RequireArgument(fcinfo, number, "bits");
  const int bits = PG_GETARG_INT32(number);
  Run([&] { check(bits < 0 ? 0 : static_cast<unsigned>(bits)); });
  return static_cast<unsigned>(bits);
}

Utf8 NewLabelArgument(FunctionCallInfo fcinfo, int number, const char* name) {
  const Utf8 label = TextArgument(fcinfo, number, name);
  FindTokenTables(fcinfo);
  CheckNewKeyLabel(label.view());
  return label;
}

KeyId FreshId() {
  KeyId id{};
  Run([&] {
    id.size = hsm::kKeyIdSize;
    do crypto::Random({id.bytes, id.size});
    while (hsm::IsKekId(id.view()));
  });
  return id;
}

// Runs make(session, new key) on the token and writes the row; the transaction undoes both.
template <class Make>
Datum MakeKey(FunctionCallInfo fcinfo, const char* function, const char* event, const Utf8& label,
              Make make) {
  BeginTokenChange(fcinfo, function);
  LockLabel(label.view());
  RefreshTokenKeys(fcinfo);
  RefuseTakenLabel(label.view());
  const KeyId id = FreshId();
  WillMakeKey(id);
  Described made = {};
  RunWithKeys([&](Connection& connection) {
    connection.Run(Level::kLogin, [&](Session& session) {
      made = Describe(make(session, hsm::NewKey{label.view(), id.view()}));
    });
  });
  InsertTokenKey(made.Row(id, pnstrdup(label.data, label.size)));
  if (!RoleIsOwner(GetUserId())) GrantAllOperations(id, GetUserId());
  AuditKey(event, pnstrdup(label.data, label.size), 0);
  return CopyBytes(id.view());
}

}  // namespace

// tp_generate_rsa_key(label text, bits int, usage text) RETURNS bytea
TP_SQL_FUNCTION(tp_generate_rsa_key) {
  const Utf8 label = NewLabelArgument(fcinfo, 0, "label");
  const unsigned bits = BitsArgument(fcinfo, 1, hsm::CheckRsaBits);
  const hsm::Usage usage = UsageArgument(fcinfo, 2);
  return MakeKey(
      fcinfo, "tp_generate_rsa_key()", "generate_key", label,
      [&](Session& session, const hsm::NewKey& key) { return hsm::MakeRsaKey(session, key, bits, usage); });
}

// tp_generate_ec_key(label text, curve text) RETURNS bytea
TP_SQL_FUNCTION(tp_generate_ec_key) {
  const Utf8 label = NewLabelArgument(fcinfo, 0, "label");
  const auto curve = crypto::CurveFromName(TextArgument(fcinfo, 1, "curve").view());
  if (!curve) RaiseUnknown("curve", "P-256, P-384, P-521 or secp256k1");
  return MakeKey(
      fcinfo, "tp_generate_ec_key()", "generate_key", label,
      [&](Session& session, const hsm::NewKey& key) { return hsm::MakeEcKey(session, key, *curve); });
}

// tp_generate_aes_key(label text, bits int, mode text) RETURNS bytea
TP_SQL_FUNCTION(tp_generate_aes_key) {
  const Utf8 label = NewLabelArgument(fcinfo, 0, "label");
  const unsigned bits = BitsArgument(fcinfo, 1, hsm::CheckAesBits);
  const auto mode = hsm::AesModeFromName(TextArgument(fcinfo, 2, "mode").view());
  if (!mode) RaiseUnknown("mode of an AES key", "gcm, cbc-pad or ecb; a key has one for life");
  return MakeKey(
      fcinfo, "tp_generate_aes_key()", "generate_key", label,
      [&](Session& session, const hsm::NewKey& key) { return hsm::MakeAesKey(session, key, bits, *mode); });
}

// tp_import_key(label text, pem text, passphrase text, usage text) RETURNS bytea
TP_SQL_FUNCTION(tp_import_key) {
  const Utf8 label = NewLabelArgument(fcinfo, 0, "label");
  const Utf8 pem = TextArgument(fcinfo, 1, "pem");
  const bool has_passphrase = !PG_ARGISNULL(2);
  const Utf8 passphrase = has_passphrase ? TextArgument(fcinfo, 2, "passphrase") : Utf8{"", 0, nullptr};
  const hsm::Usage usage = UsageArgument(fcinfo, 3);
  const auto read = [&] {
    return crypto::ReadPrivateKey(pem.view(),
                                  has_passphrase ? std::optional(passphrase.bytes()) : std::nullopt);
  };
  Run([&] { (void)read(); });  // whatever is wrong with it is said before anything is written down
  const Datum id = MakeKey(
      fcinfo, "tp_import_key()", "import_key", label,
      [&](Session& session, const hsm::NewKey& key) { return hsm::ImportKey(session, key, read(), usage); });
  pem.Forget();
  passphrase.Forget();
  return id;
}

// tp_import_key_file(label text, path text, passphrase_file text, usage text) RETURNS bytea
TP_SQL_FUNCTION(tp_import_key_file) {
  const Utf8 label = NewLabelArgument(fcinfo, 0, "label");
  const Utf8 path = TextArgument(fcinfo, 1, "path");
  const bool has_passphrase = !PG_ARGISNULL(2);
  const Utf8 passphrase_file =
      has_passphrase ? TextArgument(fcinfo, 2, "passphrase_file") : Utf8{"", 0, nullptr};
  const hsm::Usage usage = UsageArgument(fcinfo, 3);
  if (!RoleIsOwner(GetUserId()) && !has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
    ereport(
        ERROR,
        (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
         errmsg("role \"%s\" may not import keys from files", GetUserNameFromId(GetUserId(), false)),
         errhint("That is for the owner of the extension, superusers and members of pg_read_server_files.")));
  const auto read = [&] {
    const SecretFile pem(path.view(), "the key");
    if (!has_passphrase) return crypto::ReadPrivateKey(base::AsText(pem.bytes()), std::nullopt);
    const SecretFile passphrase(passphrase_file.view(), "the passphrase");
    return crypto::ReadPrivateKey(base::AsText(pem.bytes()), passphrase.FirstLine());
  };
  Run([&] { (void)read(); });
  return MakeKey(
      fcinfo, "tp_import_key_file()", "import_key", label,
      [&](Session& session, const hsm::NewKey& key) { return hsm::ImportKey(session, key, read(), usage); });
}

}  // namespace trustpoint::pg
