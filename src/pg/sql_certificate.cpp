// tp_csr, tp_self_signed_certificate: OpenSSL builds, the token signs.
#include "crypto/certificate.hpp"
#include "hsm/sign.hpp"
#include "pg/audited_use.hpp"
#include "pg/signature_algorithm.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/token_keys.hpp"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/array.h"
}

namespace trustpoint::pg {
namespace {

using pkcs11::Session;

// The elements of a text[], as UTF-8.
struct Names {
  const Utf8* names;
  int count;
};

Names NamesArgument(FunctionCallInfo fcinfo, int number, const char* name) {
  RequireArgument(fcinfo, number, name);
  Datum* values;
  bool* nulls;
  Names result{};
  deconstruct_array(PG_GETARG_ARRAYTYPE_P(number), TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls,
                    &result.count);
  auto* names = static_cast<Utf8*>(palloc(sizeof(Utf8) * static_cast<size_t>(result.count + 1)));
  for (int i = 0; i < result.count; ++i) {
    if (nulls[i])
      ereport(ERROR,
              (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("element %d of \"%s\" is NULL", i + 1, name)));
    const text* element = DatumGetTextPP(values[i]);
    names[i] = ToUtf8({VARDATA_ANY(element), VARSIZE_ANY_EXHDR(element)});
  }
  result.names = names;
  return result;
}

crypto::CertificateContent ContentOf(const Utf8& subject, const Names& names) {
  crypto::CertificateContent content;
  content.subject = std::string(subject.view());
  for (int i = 0; i < names.count; ++i) content.alternative_names.emplace_back(names.names[i].view());
  return content;
}

// Signs with the key of the label: build(session, key, algorithm) gives DER, which is returned as PEM.
template <class Build>
Datum Signed(FunctionCallInfo fcinfo, const char* function, const Utf8& label, const AlgorithmArgument& named,
             const char* kind, Build build) {
  return AuditedUse(function, label, named.name(), [&](KeyUse* use) {
    RefreshTokenKeys(fcinfo);
    const KnownKey& known = FindTokenKey(label.view(), Operation::kSign, &use->is_key);
    const crypto::SignatureAlgorithm algorithm = named.For(known);
    use->algorithm = ShownAlgorithm(algorithm);
    Backend& backend = ThisBackend();
    WithTokenKey(known, [&](Session& session, const hsm::TokenKey& key) {
      backend.text = crypto::ToPem(kind, build(session, key, algorithm));
    });
    return PointerGetDatum(cstring_to_text(backend.text.c_str()));
  });
}

}  // namespace

// tp_csr(label text, subject text, subject_alternative_names text[], algorithm text) RETURNS text
TP_SQL_FUNCTION(tp_csr) {
  const Utf8 label = TextArgument(fcinfo, 0, "label");
  const Utf8 subject = TextArgument(fcinfo, 1, "subject");
  const Names names = NamesArgument(fcinfo, 2, "subject_alternative_names");
  return Signed(fcinfo, "tp_csr", label, AlgorithmArgument(fcinfo, 3), "CERTIFICATE REQUEST",
                [&](Session& session, const hsm::TokenKey& key, crypto::SignatureAlgorithm algorithm) {
                  return hsm::MakeRequest(session, key, algorithm, ContentOf(subject, names));
                });
}

// tp_self_signed_certificate(label text, subject text, days int, subject_alternative_names text[], ca
// boolean, algorithm text) RETURNS text
TP_SQL_FUNCTION(tp_self_signed_certificate) {
  const Utf8 label = TextArgument(fcinfo, 0, "label");
  const Utf8 subject = TextArgument(fcinfo, 1, "subject");
  RequireArgument(fcinfo, 2, "days");
  const int days = PG_GETARG_INT32(2);
  const Names names = NamesArgument(fcinfo, 3, "subject_alternative_names");
  RequireArgument(fcinfo, 4, "ca");
  const bool ca = PG_GETARG_BOOL(4);
  return Signed(fcinfo, "tp_self_signed_certificate", label, AlgorithmArgument(fcinfo, 5), "CERTIFICATE",
                [&](Session& session, const hsm::TokenKey& key, crypto::SignatureAlgorithm algorithm) {
                  return hsm::MakeSelfSigned(session, key, algorithm, ContentOf(subject, names),
                                             {days < 0 ? 0 : static_cast<unsigned>(days), ca});
                });
}

}  // namespace trustpoint::pg
