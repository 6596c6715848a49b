// What one backend keeps: the connection to the token, the opened DEKs, the cipher contexts. One object,
// built on first use in the backend itself: never in _PG_init, which may run in the postmaster, and never
// destroyed.
#pragma once

#include <optional>
#include <vector>

#include "hsm/listing.hpp"
#include "hsm/token_key.hpp"
#include "keyring/cache.hpp"
#include "keyring/indexer.hpp"
#include "keyring/opener.hpp"
#include "keyring/sealer.hpp"
#include "keyring/tpsec.hpp"
#include "pg/known_keys.hpp"
#include "pkcs11/connection.hpp"
#include "pkcs11/exposure.hpp"

namespace trustpoint::pg {

// The last value that tp_rewrap_problem found none with, and what it is rewrapped: ciphertext alone.
struct Rewrapped {
  std::vector<std::uint8_t> value, result;
  // Gives the memory back as well: a session may live for weeks after its largest value.
  void Clear() noexcept { *this = Rewrapped(); }
};

struct Backend {
  Backend();
  // No copy of a key outlives this but those in locked memory. Cannot fail.
  void WipeContexts() noexcept;

  pkcs11::PinMemo pin_memo;
  pkcs11::Connection connection;
  bool keep_session = false;  // tp_hsm_login() was called: the session stays until tp_hsm_logout()
  bool hold_session = false;  // keys of the token were used: the session stays until the transaction ends

  keyring::DekCache deks;
  base::Secret shared_keys;            // on their way from the shared cache
  std::string unknown_kek_attributes;  // of the KEK that was used last
  keyring::Sealer sealer;
  keyring::Opener opener;
  keyring::TpsecCipher tpsec;
  keyring::Indexer indexer;
  Rewrapped rewrapped;  // of this transaction

  // While DEKs move to another token: they themselves, in locked memory, and where operations go instead of
  // where the settings say. Both end with the function.
  std::vector<base::Secret> moving_deks;
  std::optional<pkcs11::Config> elsewhere;
  void StopMoving() noexcept {
    moving_deks.clear();
    elsewhere.reset();
  }

  hsm::KeyCache token_keys;  // by handle, while the session lives
  KnownKeys known_keys;      // by label, as the tables have them

  // Where a body leaves what PostgreSQL then reads or copies into rows; good until the next body that fills
  // it.
  std::vector<std::uint32_t> stale_deks;
  std::vector<pkcs11::TokenInfo> slots;
  std::vector<pkcs11::MechanismInfo> mechanisms;
  std::vector<pkcs11::Finding> findings;
  pkcs11::LibraryInfo module_info;
  std::string text;
  std::vector<std::uint8_t> bytes;
  std::vector<hsm::ObjectInfo> objects;
  std::vector<hsm::AttributeInfo> attributes;
};

namespace internal {
extern Backend* backend;
void MakeBackend();
}  // namespace internal

// nullptr when this backend has not used trustpoint yet.
inline Backend* ExistingBackend() { return internal::backend; }
// Builds it on first use. May ereport: call it from the PostgreSQL layer, before the body.
inline Backend& ThisBackend() {
  if (internal::backend == nullptr) internal::MakeBackend();
  return *internal::backend;
}

}  // namespace trustpoint::pg
