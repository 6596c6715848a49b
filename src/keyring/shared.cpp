#include "keyring/shared.hpp"

#include "crypto/kdf.hpp"
#include "keyring/subkeys.hpp"

namespace trustpoint::keyring {

SharedName SharedNameOf(std::uint32_t database, const DekRow& row) {
  std::uint8_t numbers[8];
  base::PutU32(numbers, database);
  base::PutU32(numbers + 4, row.id);
  return crypto::Sha256({numbers, BindingOf(row), row.wrapped, row.check_value});
}

}  // namespace trustpoint::keyring
