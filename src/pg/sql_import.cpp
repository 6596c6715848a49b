// tp_import_dek: Trustpoint's own DEK, from each form in which it stores it, into a row of ours.
#include <optional>

#include "base/secret.hpp"
#include "keyring/dek.hpp"
#include "keyring/tpsec_dek.hpp"
#include "pg/audit.hpp"
#include "pg/catalog.hpp"
#include "pg/keys.hpp"
#include "pg/new_dek.hpp"
#include "pg/rights.hpp"
#include "pg/settings.hpp"
#include "pg/sql_arguments.hpp"
#include "pg/store.hpp"
#include "pg/token.hpp"
#include "pg/tpsec_field.hpp"

namespace trustpoint::pg {
namespace {

using envelope::Purpose;
using keyring::DekRow;
using keyring::KekRow;
using pkcs11::Connection;
using pkcs11::Level;
using pkcs11::Session;

// A field that must open under the DEK, and room for its plaintext.
struct Sample {
  bool given;
  envelope::TpsecField field;
  base::MutableBytes scratch;
};

enum class Verdict : std::uint8_t { kGood, kSampleDoesNotOpen, kKnown };

void RequireOwner() {
  if (!RoleIsOwner(GetUserId()))
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("only the owner of the extension and superusers may import a DEK")));
}

envelope::TpsecDek WrappedArgument(FunctionCallInfo fcinfo) {
  RequireArgument(fcinfo, 0, "wrapped");
  const std::optional<envelope::TpsecDek> wrapped = envelope::ParseTpsecDek(BytesArgument(fcinfo, 0));
  if (!wrapped)
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION), errmsg("not a wrapped DEK of Trustpoint"),
             errdetail("Its prefix or its length is that of no form that an AES key in the token protects."),
             errhint("Give the whole value of the column wrapped_dek, with its prefix.")));
  return *wrapped;
}

Sample SampleArgument(FunctionCallInfo fcinfo) {
  Sample sample{};
  if (PG_ARGISNULL(2)) return sample;
  const text* value = PG_GETARG_TEXT_PP(2);
  if (VARSIZE_ANY_EXHDR(value) == 0)
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("an empty sample proves nothing"),
             errhint("Give a field that Trustpoint stores under this DEK, or NULL to go without a proof.")));
  sample.given = true;
  sample.field = ReadTpsecField({VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)});
  const size_t size = sample.field.ciphertext.size();
  sample.scratch = {static_cast<std::uint8_t*>(palloc(size + 1)), size};
  return sample;
}

// Our own KEKs open our own rows and nothing else, whatever else bears their label.
void CheckKekLabel(std::string_view label) {
  if (label.empty())
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the label of a KEK must not be empty"),
                    errhint("Trustpoint's is \"trustpoint-app-secret-kek\", before \"trustpoint-kek\".")));
  if (label != KekLabel().view() && !IsKekLabel(label)) return;
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                  errmsg("\"%s\" is the label of a KEK of this extension", ShownFromUtf8(label)),
                  errhint("Name the KEK that Trustpoint protected its DEK with.")));
}

[[noreturn]] void RaiseSample() {
  ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("the sample does not open under this DEK"),
                  errdetail("The wrapped DEK, the KEK and the sample do not belong together."),
                  errhint("Take all three from the same Trustpoint.")));
  pg_unreachable();
}

[[noreturn]] void RaiseKnown(const DekRow& known) {
  ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT), errmsg("this DEK is here already: it is DEK %u (%s)",
                                                            known.id, ShownFromUtf8(known.name))));
  pg_unreachable();
}

}  // namespace

// tp_import_dek(wrapped bytea, kek_label text, sample text, name text) RETURNS int
TP_SQL_FUNCTION(tp_import_dek) {
  FindTables(fcinfo);
  RequireOwner();
  const envelope::TpsecDek wrapped = WrappedArgument(fcinfo);
  const Utf8 label = TextArgument(fcinfo, 1, "kek_label");
  const Sample sample = SampleArgument(fcinfo);
  const Utf8 name = TextArgument(fcinfo, 3, "name");
  CheckDekName(name.view());
  BeginKeyChange(fcinfo, "tp_import_dek()");
  CheckKekLabel(label.view());

  const KekRow kek_row = NewestKek();
  DekRow row = NewDekRow(Purpose::kTpsec, name.view());
  int count;
  const DekRow* rows = ReadAllDeks(&count);
  const DekRow* known = nullptr;
  Verdict verdict = Verdict::kGood;
  RunOnToken(Level::kLogin, Gate::kForStart, [&](Connection& connection) {
    connection.Run(Level::kLogin, [&](Session& session) {
      const base::Secret dek = keyring::OpenTpsecDek(session, label.view(), wrapped);
      verdict = Verdict::kGood;
      if (sample.given && !keyring::OpensField(dek.view(), sample.field, sample.scratch)) {
        verdict = Verdict::kSampleDoesNotOpen;
        return;
      }
      for (known = rows; known != rows + count; ++known)
        if (known->purpose == Purpose::kTpsec && known->state != keyring::DekState::kDestroyed &&
            keyring::IsDekOf(*known, dek.view())) {
          verdict = Verdict::kKnown;
          return;
        }
      keyring::Kek kek(session, kek_row);
      keyring::WrapDek(kek, dek.view(), &row);
    });
  });
  if (verdict == Verdict::kSampleDoesNotOpen) RaiseSample();
  if (verdict == Verdict::kKnown) RaiseKnown(*known);
  RetireDeks(Purpose::kTpsec, name.view());
  InsertDek(row);
  AuditKey("import_dek", row.name, row.id);
  if (!sample.given && !envelope::ProvesItself(wrapped.wrap))
    ereport(WARNING, (errmsg("nothing proves that this is Trustpoint's DEK"),
                      errdetail("This form has no check of its own, and no sample was given."),
                      errhint("Read a stored field with tpsec_decrypt before anything relies on it.")));
  PG_RETURN_INT32(static_cast<int32>(row.id));
}

}  // namespace trustpoint::pg
