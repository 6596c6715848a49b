#include "pg/write.hpp"

#include "pg/catalog.hpp"
#include "pg/rights.hpp"
#include "pg/text.hpp"

extern "C" {
#include "access/xact.h"
#include "executor/spi.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
}

namespace trustpoint::pg {

const char* QualifiedName(Oid table) {
  return quote_qualified_identifier(get_namespace_name(KnownTables().schema), get_rel_name(table));
}

uint64 Execute(const char* statement, int count, Oid* types, Datum* values) {
  Oid user;
  int security;
  GetUserIdAndSecContext(&user, &security);
  const int nest_level = NewGUCNestLevel();
  SetUserIdAndSecContext(TablesOwner(), security | SECURITY_LOCAL_USERID_CHANGE);
  (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
                          true, 0, false);
  SPI_connect();
  if (SPI_execute_with_args(statement, count, types, values, nullptr, false, 0) < 0)
    elog(ERROR, "could not write to the tables of trustpoint");
  const uint64 rows = SPI_processed;
  SPI_finish();
  AtEOXact_GUC(true, nest_level);
  SetUserIdAndSecContext(user, security);
  return rows;
}

void ExecuteOnRow(const char* what, const char* statement, int count, Oid* types, Datum* values) {
  if (Execute(statement, count, types, values) != 1) RaiseChanged(what);
}

void RaiseChanged(const char* what) {
  ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
                  errmsg("%s was changed by another transaction", what), errhint("Repeat the transaction.")));
  pg_unreachable();
}

Datum TextValue(std::string_view utf8) {
  const std::string_view text = FromUtf8(utf8);
  return PointerGetDatum(cstring_to_text_with_len(text.data(), static_cast<int>(text.size())));
}

Datum BytesValue(base::Bytes bytes) {
  return PointerGetDatum(
      cstring_to_text_with_len(reinterpret_cast<const char*>(bytes.data()), static_cast<int>(bytes.size())));
}

}  // namespace trustpoint::pg
