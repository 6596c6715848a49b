// A DEK encrypted to the offline recovery key, and its way back into its row.
#pragma once

#include <vector>

#include "crypto/public_key.hpp"
#include "envelope/recovery.hpp"
#include "keyring/kek.hpp"

namespace trustpoint::keyring {

inline constexpr unsigned kMinRecoveryBits = 3072;

// The OAEP label of an export of the row, made when it was under the KEK.
base::Block<envelope::kRecoveryLabelSize> RecoveryLabel(const DekRow& row, const KekId& kek_id);

// Unwraps the DEK of the row, with every check, and encrypts it to the key, which must be RSA.
std::vector<std::uint8_t> ExportDek(Kek& kek, const DekRow& row, const crypto::PublicKey& recovery_key);

// Puts a DEK back into its row, under the KEK. Throws kAuthenticationFailed when it is not the one that the
// row's check value was made of; the row is unchanged then.
void RecoverDek(Kek& kek, base::Bytes dek, DekRow* row);

}  // namespace trustpoint::keyring
