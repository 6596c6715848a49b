// What one backend keeps: the connection to the token, the opened DEKs, the cipher contexts. One object,
// built on first use in the backend itself: never in _PG_init, which may run in the postmaster, and never
// destroyed.
#pragma once

#include <vector>

#include "keyring/cache.hpp"
#include "keyring/opener.hpp"
#include "keyring/sealer.hpp"
#include "pkcs11/connection.hpp"
#include "pkcs11/exposure.hpp"

namespace trustpoint::pg {

struct Backend {
  Backend();

  pkcs11::PinMemo pin_memo;
  pkcs11::Connection connection;
  bool keep_session = false;  // tp_hsm_login() was called: the session stays until tp_hsm_logout()

  keyring::DekCache deks;
  base::Secret shared_keys;            // on their way from the shared cache
  std::string unknown_kek_attributes;  // of the KEK that was used last
  keyring::Sealer sealer;
  keyring::Opener opener;

  // Where a body leaves what PostgreSQL then reads or copies into rows; good until the next body that fills
  // it.
  std::vector<std::uint32_t> stale_deks;
  std::vector<pkcs11::TokenInfo> slots;
  std::vector<pkcs11::MechanismInfo> mechanisms;
  std::vector<pkcs11::Finding> findings;
  pkcs11::LibraryInfo library;
  std::string text;
};

// Builds it on first use. May ereport: call it from the PostgreSQL layer, before the body.
Backend& ThisBackend();
// nullptr when this backend has not used trustpoint yet.
Backend* ExistingBackend();

}  // namespace trustpoint::pg
