// tp_sign, tp_sign_digest, tp_verify, tp_verify_with_public_key: signatures.
#include <optional>

#include "crypto/public_key.hpp"
#include "hsm/sign.hpp"
#include "pg/audited_use.hpp"
#include "pg/bytes_result.hpp"
#include "pg/interrupts.hpp"
#include "pg/signature_algorithm.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/token_keys.hpp"

namespace trustpoint::pg {
namespace {

using crypto::SignatureAlgorithm;

Datum SignDigest(const KnownKey& known, SignatureAlgorithm algorithm, const crypto::Digest& digest) {
  bytea* signature = AllocateBytes(hsm::kMaxSignatureSize);
  size_t size = 0;
  WithTokenKey(known, [&](pkcs11::Session& session, const hsm::TokenKey& key) {
    size = hsm::Sign(session, key, algorithm, digest, Content(signature));
  });
  return Cut(signature, size);
}

}  // namespace

// tp_sign(label text, data bytea, algorithm text) RETURNS bytea
TP_SQL_FUNCTION(tp_sign) {
  const Utf8 label = TextArgument(fcinfo, 0, "label");
  if (PG_ARGISNULL(1)) PG_RETURN_NULL();
  const AlgorithmArgument named(fcinfo, 2);
  return AuditedUse("tp_sign", label, named.name(), [&](KeyUse* use) {
    RefreshTokenKeys(fcinfo);
    const KnownKey& known = FindTokenKey(label.view(), Operation::kSign, &use->is_key);
    const SignatureAlgorithm algorithm = named.For(known);
    use->algorithm = ShownAlgorithm(algorithm);
    return SignDigest(known, algorithm, HashData(algorithm.hash, BytesArgument(fcinfo, 1)));
  });
}

// tp_sign_digest(label text, digest bytea, algorithm text) RETURNS bytea
TP_SQL_FUNCTION(tp_sign_digest) {
  const Utf8 label = TextArgument(fcinfo, 0, "label");
  RequireArgument(fcinfo, 2, "algorithm");
  if (PG_ARGISNULL(1)) PG_RETURN_NULL();
  const AlgorithmArgument named(fcinfo, 2);
  return AuditedUse("tp_sign_digest", label, named.name(), [&](KeyUse* use) {
    RefreshTokenKeys(fcinfo);
    const KnownKey& known = FindTokenKey(label.view(), Operation::kSignDigest, &use->is_key);
    const SignatureAlgorithm algorithm = named.For(known);
    use->algorithm = ShownAlgorithm(algorithm);
    const base::Bytes bytes = BytesArgument(fcinfo, 1);
    crypto::Digest digest;
    Run([&] { digest = crypto::DigestFrom(algorithm.hash, bytes); });
    return SignDigest(known, algorithm, digest);
  });
}

// tp_verify(label text, data bytea, signature bytea, algorithm text) RETURNS boolean
TP_SQL_FUNCTION(tp_verify) {
  const Utf8 label = TextArgument(fcinfo, 0, "label");
  if (PG_ARGISNULL(1) || PG_ARGISNULL(2)) PG_RETURN_NULL();
  const AlgorithmArgument named(fcinfo, 3);
  RefreshTokenKeys(fcinfo);
  const KnownKey& known = FindTokenKey(label.view(), Operation::kVerify);
  const SignatureAlgorithm algorithm = named.For(known);
  const base::Bytes signature = BytesArgument(fcinfo, 2);
  const crypto::Digest digest = HashData(algorithm.hash, BytesArgument(fcinfo, 1));
  bool valid = false;
  WithTokenKey(known, [&](pkcs11::Session&, const hsm::TokenKey& key) {
    valid = key.RequirePublic().Verify(algorithm, digest, signature);
  });
  PG_RETURN_BOOL(valid);
}

// tp_verify_with_public_key(pem text, data bytea, signature bytea, algorithm text) RETURNS boolean
TP_SQL_FUNCTION(tp_verify_with_public_key) {
  RequireArgument(fcinfo, 0, "pem");
  RequireArgument(fcinfo, 3, "algorithm");
  if (PG_ARGISNULL(1) || PG_ARGISNULL(2)) PG_RETURN_NULL();
  const Utf8 pem = TextArgument(fcinfo, 0, "pem");
  const SignatureAlgorithm algorithm = AlgorithmArgument(fcinfo, 3).Named();
  const base::Bytes signature = BytesArgument(fcinfo, 2);
  Run([&] { crypto::CheckAlgorithm(algorithm, crypto::PublicKey::FromPem(pem.view()).type()); });
  const crypto::Digest digest = HashData(algorithm.hash, BytesArgument(fcinfo, 1));
  bool valid = false;
  Run([&] { valid = crypto::PublicKey::FromPem(pem.view()).Verify(algorithm, digest, signature); });
  PG_RETURN_BOOL(valid);
}

}  // namespace trustpoint::pg
