// tp_digest, tp_random: what the token computes without a key.
#include "hsm/stream.hpp"
#include "pg/bytes_result.hpp"
#include "pg/interrupts.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/token.hpp"

namespace trustpoint::pg {
namespace {

using pkcs11::Connection;
using pkcs11::Level;
using pkcs11::Session;

constexpr int kMaxRandom = 1 << 20;

// Runs step(session) until it has not been stopped. A stop that ends no statement begins it anew.
template <class Step>
void UntilDone(Step step) {
  bool done = false;
  while (!done) {
    CHECK_FOR_INTERRUPTS();
    RunOnToken(Level::kLogin, Gate::kForStart, [&](Connection& connection) {
      connection.Run(Level::kLogin, [&](Session& session) { done = step(session); });
    });
  }
}

}  // namespace

// tp_digest(data bytea, algorithm text) RETURNS bytea
TP_SQL_FUNCTION(tp_digest) {
  const auto hash = crypto::HashFromName(TextArgument(fcinfo, 1, "algorithm").view());
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  if (!hash)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown digest algorithm"),
                    errhint("Use sha224, sha256, sha384 or sha512.")));
  const base::Bytes data = BytesArgument(fcinfo, 0);
  crypto::Digest digest;
  UntilDone([&](Session& session) { return hsm::DigestInToken(session, *hash, data, MustStop, &digest); });
  return CopyBytes(digest.view());
}

// tp_random(n int) RETURNS bytea
TP_SQL_FUNCTION(tp_random) {
  if (PG_ARGISNULL(0)) PG_RETURN_NULL();
  const int n = PG_GETARG_INT32(0);
  if (n < 1 || n > kMaxRandom)
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the number of random bytes is out of range"),
             errhint("Ask for 1 to %d bytes.", kMaxRandom)));
  bytea* result = AllocateBytes(static_cast<size_t>(n));
  UntilDone([&](Session& session) { return hsm::RandomFromToken(session, Content(result), MustStop); });
  PG_RETURN_BYTEA_P(result);
}

}  // namespace trustpoint::pg
