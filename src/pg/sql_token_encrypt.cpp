// tp_rsa_encrypt, tp_rsa_decrypt, tp_aes_encrypt, tp_aes_decrypt: encryption with keys of the token.
#include "hsm/aes.hpp"
#include "hsm/rsa_decrypt.hpp"
#include "pg/audited_use.hpp"
#include "pg/bytes_result.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/token_keys.hpp"

namespace trustpoint::pg {
namespace {

using crypto::RsaPadding;
using hsm::AesMode;
using pkcs11::Session;

RsaPadding PaddingNamed(const char* name) {
  const auto padding = crypto::RsaPaddingFromName(name);
  if (!padding)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown padding"),
                    errhint("Use one of %.*s.", static_cast<int>(crypto::kRsaPaddingNames.size()),
                            crypto::kRsaPaddingNames.data())));
  return *padding;
}

void RequireType(const KnownKey& known, crypto::KeyType type, const char* hint) {
  if (known.type != type)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("the key is of type %s, which this function does not serve",
                           crypto::KeyTypeName(known.type)),
                    errhint("%s", hint)));
}

void RequireRsa(const KnownKey& known) {
  RequireType(known, crypto::KeyType::kRsa,
              known.type == crypto::KeyType::kEc
                  ? "EC keys sign and do not encrypt. Use an RSA key of usage \"decrypt\"."
                  : "Use tp_aes_encrypt and tp_aes_decrypt for AES keys.");
}

// The mode in which an AES key serves: its row's, or the token's.
AesMode ModeOf(const KnownKey& known) {
  RequireType(known, crypto::KeyType::kAes, "Use an AES key, as tp_generate_aes_key makes one.");
  AesMode mode = AesMode::kGcm;
  WithTokenKey(known, [&](Session&, const hsm::TokenKey& key) { mode = hsm::ChooseMode(key, known.mode); });
  return mode;
}

}  // namespace

// tp_rsa_encrypt(label text, data bytea, padding text) RETURNS bytea
TP_SQL_FUNCTION(tp_rsa_encrypt) {
  const Utf8 label = TextArgument(fcinfo, 0, "label");
  RequireArgument(fcinfo, 2, "padding");
  if (PG_ARGISNULL(1)) PG_RETURN_NULL();
  RefreshTokenKeys(fcinfo);
  const KnownKey& known = FindTokenKey(label.view(), Operation::kEncrypt);
  RequireRsa(known);
  const RsaPadding padding = PaddingNamed(text_to_cstring(PG_GETARG_TEXT_PP(2)));
  const base::Bytes data = BytesArgument(fcinfo, 1);
  Backend& backend = ThisBackend();
  WithTokenKey(known, [&](Session&, const hsm::TokenKey& key) {
    backend.bytes = key.RequirePublic().Encrypt(padding, data);
  });
  return CopyBytes(backend.bytes);
}

// tp_rsa_decrypt(label text, data bytea, padding text) RETURNS bytea
TP_SQL_FUNCTION(tp_rsa_decrypt) {
  const Utf8 label = TextArgument(fcinfo, 0, "label");
  RequireArgument(fcinfo, 2, "padding");
  if (PG_ARGISNULL(1)) PG_RETURN_NULL();
  const char* name = text_to_cstring(PG_GETARG_TEXT_PP(2));
  return AuditedUse("tp_rsa_decrypt", label, nullptr, [&](KeyUse* use) {
    RefreshTokenKeys(fcinfo);
    const RsaPadding padding = PaddingNamed(name);
    use->algorithm = name;
    const KnownKey& known = FindTokenKey(
        label.view(), padding == RsaPadding::kPkcs1 ? Operation::kDecryptPkcs1 : Operation::kDecrypt,
        &use->is_key);
    RequireRsa(known);
    const base::Bytes data = BytesArgument(fcinfo, 1);
    bytea* plaintext = AllocateBytes(hsm::kMaxRsaBlockSize);
    size_t size = 0;
    WithTokenKey(known, [&](Session& session, const hsm::TokenKey& key) {
      size = hsm::RsaDecrypt(session, key, padding, data, Content(plaintext));
    });
    return Cut(plaintext, size);
  });
}

// tp_aes_encrypt(label text, data bytea) RETURNS bytea
TP_SQL_FUNCTION(tp_aes_encrypt) {
  const Utf8 label = TextArgument(fcinfo, 0, "label");
  if (PG_ARGISNULL(1)) PG_RETURN_NULL();
  return AuditedUse("tp_aes_encrypt", label, nullptr, [&](KeyUse* use) {
    RefreshTokenKeys(fcinfo);
    const KnownKey& known = FindTokenKey(label.view(), Operation::kEncrypt, &use->is_key);
    const AesMode mode = ModeOf(known);
    use->algorithm = hsm::AesModeName(mode);
    const base::Bytes data = BytesArgument(fcinfo, 1);
    size_t room = 0, size = 0;
    Run([&] { room = hsm::AesEncryptRoom(mode, data.size()); });
    bytea* result = AllocateBytes(room);
    WithTokenKey(known, [&](Session& session, const hsm::TokenKey& key) {
      size = hsm::AesEncrypt(session, key, mode, known.bound_label, data, Content(result));
    });
    return Cut(result, size);
  });
}

// tp_aes_decrypt(label text, data bytea) RETURNS bytea
TP_SQL_FUNCTION(tp_aes_decrypt) {
  const Utf8 label = TextArgument(fcinfo, 0, "label");
  if (PG_ARGISNULL(1)) PG_RETURN_NULL();
  return AuditedUse("tp_aes_decrypt", label, nullptr, [&](KeyUse* use) {
    RefreshTokenKeys(fcinfo);
    const KnownKey& known = FindTokenKey(label.view(), Operation::kDecrypt, &use->is_key);
    const AesMode mode = ModeOf(known);
    use->algorithm = hsm::AesModeName(mode);
    const base::Bytes data = BytesArgument(fcinfo, 1);
    size_t room = 0, size = 0;
    Run([&] { room = hsm::AesDecryptRoom(mode, data.size()); });
    bytea* plaintext = AllocateBytes(room);
    WithTokenKey(known, [&](Session& session, const hsm::TokenKey& key) {
      size = hsm::AesDecrypt(session, key, mode, known.bound_label, data, Content(plaintext));
    });
    return Cut(plaintext, size);
  });
}

}  // namespace trustpoint::pg
