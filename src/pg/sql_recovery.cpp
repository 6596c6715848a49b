// tp_export_dek, tp_recover_dek: a DEK out to the offline recovery key, and back after the token is lost.
#include <algorithm>
#include <cctype>
#include <optional>

#include "crypto/kdf.hpp"
#include "crypto/private_key.hpp"
#include "hsm/rsa_decrypt.hpp"
#include "keyring/recovery.hpp"
#include "pg/audit.hpp"
#include "pg/catalog.hpp"
#include "pg/keys.hpp"
#include "pg/new_kek.hpp"
#include "pg/rights.hpp"
#include "pg/secret_file.hpp"
#include "pg/settings.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/store.hpp"
#include "pg/token.hpp"
#include "pg/value.hpp"

extern "C" {
#include "catalog/pg_authid.h"
#include "utils/acl.h"
}

namespace trustpoint::pg {
namespace {

using crypto::PublicKey;
using crypto::RsaPadding;
using keyring::DekRow;
using keyring::KekRow;
using pkcs11::Connection;
using pkcs11::Level;
using pkcs11::Session;

DekRow UndestroyedRow(int32 id) {
  const DekRow row = ExistingDek(id);
  if (row.state == keyring::DekState::kDestroyed)
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("DEK %u (%s) is destroyed", row.id, ShownFromUtf8(row.name)),
                    errhint("It was destroyed by intent, and stays so.")));
  return row;
}

std::string HexOf(base::Bytes bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const std::uint8_t byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

// The key, if it is the one that the setting names. Runs in a body.
PublicKey RecoveryKey(std::string_view pem, std::string_view named) {
  PublicKey key = PublicKey::FromPem(pem);
  if (key.type() != crypto::KeyType::kRsa || key.bits() < keyring::kMinRecoveryBits)
    throw base::Error(base::ErrorCode::kInvalidArgument, "a recovery key must be RSA of 3072 bits or more");
  const std::string hash = HexOf(crypto::Sha256({key.Der()}));
  const bool same = std::equal(hash.begin(), hash.end(), named.begin(), named.end(), [](char a, char b) {
    return a == std::tolower(static_cast<unsigned char>(b));
  });
  if (!same)
    throw base::Error(base::ErrorCode::kInvalidArgument,
                      "this is not the key that trustpoint.recovery_key_sha256 names",
                      "SHA-256 of its SubjectPublicKeyInfo: " + hash,
                      "A superuser sets it. openssl pkey -pubin -outform DER | sha256sum gives it.");
  return key;
}

bool IsInToken(const KekRow& row) {
  bool found = true;
  RunOnToken(Level::kLogin, Gate::kForStart, [&](Connection& connection) {
    try {
      connection.Run(Level::kLogin, [&](Session& session) { const keyring::Kek kek(session, row); });
    } catch (const base::Error& error) {
      if (error.code() != base::ErrorCode::kNotFound) throw;
      found = false;
    }
  });
  return found;
}

// The newest KEK; or, in a token that does not have it, one that is found or made there as by tp_setup.
KekRow KekOfThisToken(FunctionCallInfo fcinfo) {
  const KekRow newest = NewestKek();
  if (IsInToken(newest)) return newest;
  const KekRow kek = FindOrCreateKek(fcinfo, KekLabel().view());
  KekRow known;
  if (ReadKek(kek.id, &known)) return known;
  InsertKek(kek);
  AuditKey("setup_kek", kek.label, 0);
  return kek;
}

}  // namespace

// tp_export_dek(id int, recovery_public_key_pem text) RETURNS bytea
TP_SQL_FUNCTION(tp_export_dek) {
  RequireArgument(fcinfo, 0, "id");
  const Utf8 pem = TextArgument(fcinfo, 1, "recovery_public_key_pem");
  FindTables(fcinfo);
  RequireOwner("export a DEK");
  const char* named = RecoveryKeySha256();
  if (named[0] == '\0')
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("trustpoint.recovery_key_sha256 is not set: no DEK is exported"),
                    errhint("Set it to the SHA-256 of the recovery key's SubjectPublicKeyInfo, in hex.")));
  const DekRow row = UndestroyedRow(PG_GETARG_INT32(0));
  const KekRow kek_row = KekOf(row);
  Backend& backend = ThisBackend();
  Run([&] { (void)RecoveryKey(pem.view(), named); });  // before the token is asked for anything
  RunOnToken(Level::kLogin, Gate::kForStart, [&](Connection& connection) {
    connection.Run(Level::kLogin, [&](Session& session) {
      keyring::Kek kek(session, kek_row);
      backend.bytes = keyring::ExportDek(kek, row, RecoveryKey(pem.view(), named));
    });
  });
  AuditKey("export_dek", row.name, row.id);
  struct varlena* result = AllocateVarlena(backend.bytes.size());
  base::Copy(Content(result), backend.bytes);
  PG_RETURN_BYTEA_P(reinterpret_cast<bytea*>(result));
}

// tp_recover_dek(id int, blob bytea, key_label text, key_file text, passphrase_file text) RETURNS void
TP_SQL_FUNCTION(tp_recover_dek) {
  RequireArgument(fcinfo, 0, "id");
  RequireArgument(fcinfo, 1, "blob");
  const base::Bytes bytes = BytesArgument(fcinfo, 1);
  const bool from_token = !PG_ARGISNULL(2);
  if (from_token == !PG_ARGISNULL(3))
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("either key_label or key_file must say where the recovery key is")));
  const Utf8 label = from_token ? TextArgument(fcinfo, 2, "key_label") : Utf8{};
  const char* file = from_token ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(3));
  const char* passphrase_file = PG_ARGISNULL(4) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(4));
  FindTables(fcinfo);
  RequireOwner("recover a DEK");  // a grant for keys, which the next line asks for, does not open this
  BeginKeyChange(fcinfo, "tp_recover_dek()");
  if (!from_token && !has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("only members of pg_read_server_files may name a file of the server")));
  const DekRow row = UndestroyedRow(PG_GETARG_INT32(0));
  const std::optional<envelope::RecoveryExport> exported = envelope::ParseRecovery(bytes);
  if (!exported || exported->id != row.id)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    exported ? errmsg("this is the export of DEK %u, not of DEK %u", exported->id, row.id)
                             : errmsg("this is no export of tp_export_dek")));
  keyring::KekId kek_id;
  base::Copy(kek_id, exported->kek_id);

  const KekRow kek_row = KekOfThisToken(fcinfo);
  DekRow changed = row;
  RunOnToken(Level::kLogin, Gate::kForStart, [&](Connection& connection) {
    connection.Run(Level::kLogin, [&](Session& session) {
      const auto oaep_label = keyring::RecoveryLabel(row, kek_id);
      base::Secret dek;
      if (from_token) {
        base::Secret block(hsm::kMaxRsaBlockSize);
        const hsm::TokenKey key = hsm::FindKey(session, {label.view(), {}});
        const std::size_t size = hsm::RsaDecrypt(session, key, RsaPadding::kOaepSha256, exported->ciphertext,
                                                 block.bytes(), oaep_label);
        dek = base::Secret(block.view().first(size));
      } else {
        const SecretFile pem(file, "the recovery key");
        std::optional<SecretFile> passphrase;
        if (passphrase_file != nullptr) passphrase.emplace(passphrase_file, "the recovery key's passphrase");
        dek = crypto::DecryptWithPem(base::AsText(pem.bytes()),
                                     passphrase ? std::optional(passphrase->FirstLine()) : std::nullopt,
                                     RsaPadding::kOaepSha256, exported->ciphertext, oaep_label);
      }
      keyring::Kek kek(session, kek_row);
      keyring::RecoverDek(kek, dek.view(), &changed);
    });
  });
  UpdateDekKey(row, changed);
  AuditKey("recover_dek", row.name, row.id);
  PG_RETURN_VOID();
}

}  // namespace trustpoint::pg
