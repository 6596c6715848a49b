#include "keyring/recovery.hpp"

#include <string>

#include "base/error.hpp"
#include "crypto/kdf.hpp"
#include "keyring/dek.hpp"
#include "keyring/subkeys.hpp"

namespace trustpoint::keyring {

base::Block<envelope::kRecoveryLabelSize> RecoveryLabel(const DekRow& row, const KekId& kek_id) {
  DekRow then = row;
  then.kek_id = kek_id;
  base::Block<envelope::kRecoveryLabelSize> label;
  base::Copy(label, base::AsBytes(envelope::kRecoveryLabel));
  base::Copy(base::MutableBytes(label).subspan(envelope::kRecoveryLabel.size()), BindingOf(then));
  return label;
}

std::vector<std::uint8_t> ExportDek(Kek& kek, const DekRow& row, const crypto::PublicKey& recovery_key) {
  const base::Secret dek = UnwrapDek(kek, row);
  const auto head = envelope::RecoveryHead(row.id, row.kek_id);
  const auto ciphertext =
      recovery_key.Encrypt(crypto::RsaPadding::kOaepSha256, dek.view(), RecoveryLabel(row, row.kek_id));
  std::vector<std::uint8_t> bytes(head.size() + ciphertext.size());
  base::Copy(bytes, head);
  base::Copy(base::MutableBytes(bytes).subspan(head.size()), ciphertext);
  return bytes;
}

void RecoverDek(Kek& kek, base::Bytes dek, DekRow* row) {
  if (dek.size() != envelope::kDekSize ||
      !crypto::ConstantTimeEqual(CheckValue(dek, BindingOf(*row)), row->check_value))
    throw base::Error(base::ErrorCode::kAuthenticationFailed,
                      "what was exported is not the key of DEK " + std::to_string(row->id) + " (" +
                          std::string(row->name_view()) + ")",
                      "It does not match the check value of the row.",
                      "Restore tp_dek from the backup that the export belongs to.");
  WrapDek(kek, dek, row);
}

}  // namespace trustpoint::keyring
