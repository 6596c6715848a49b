#include "pg/new_dek.hpp"

#include "crypto/random.hpp"
#include "pg/boundary.hpp"
#include "pg/catalog.hpp"
#include "pg/postgres.hpp"

namespace trustpoint::pg {
namespace {

using keyring::DekRow;

// A number that no row has: random, so that keys of two databases can be put together later.
std::uint32_t FreshDekId() {
  for (;;) {
    std::uint32_t id = 0;
    Run([&] { crypto::Random({reinterpret_cast<std::uint8_t*>(&id), sizeof id}); });
    id &= 0x7FFFFFFF;
    DekRow taken;
    if (id != 0 && !ReadDek(id, &taken)) return id;
  }
}

}  // namespace

void CheckDekName(std::string_view name) {
  bool printable = true;
  for (const char c : name) printable = printable && static_cast<unsigned char>(c) >= ' ' && c != 0x7F;
  if (name.empty() || name.size() > envelope::kMaxDekNameSize || !printable)
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("not a name for a DEK"),
                    errhint("A name has 1 to %zu bytes of UTF-8 and no control characters.",
                            envelope::kMaxDekNameSize)));
}

DekRow NewDekRow(envelope::Purpose purpose, std::string_view name) {
  DekRow row{};
  row.id = FreshDekId();
  row.purpose = purpose;
  row.name_size = static_cast<std::uint8_t>(name.size());
  base::Copy({reinterpret_cast<std::uint8_t*>(row.name), sizeof row.name}, base::AsBytes(name));
  return row;
}

}  // namespace trustpoint::pg
