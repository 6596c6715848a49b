// From a name or a key id to an opened DEK: rows as they are now, the caller's right to use it, the token
// when needed.
#pragma once

#include <string_view>

#include "keyring/cache.hpp"
#include "pg/backend.hpp"
#include "pg/catalog.hpp"
#include "pg/postgres.hpp"
#include "pg/settings.hpp"
#include "pg/statistics.hpp"

extern "C" {
#include "utils/inval.h"
}

namespace trustpoint::pg {

// What tp_grant grants on a DEK's name; kLoad needs no such grant, as it uses the DEK for nothing.
enum class Capability : std::uint8_t { kEncrypt, kDecrypt, kRewrap, kSearch, kLoad };

// What a query does for every row but the first is here to be inlined: there it costs as much as the cipher.
namespace internal {

inline constexpr std::uint64_t kNoneSeen = UINT64_MAX;
extern std::uint64_t seen_changes;  // the last of TableChanges whose rows were all read
extern Oid locked_for_encryption;   // tp_dek, while this transaction has encrypted

void RereadKeys(FunctionCallInfo fcinfo);
void ExpireKeys();
void LockForEncryption(const char* function);
const keyring::CachedDek* DekForName(envelope::Purpose purpose, std::string_view name, Capability capability);
const keyring::CachedDek* DekForId(envelope::Purpose purpose, std::uint32_t id, Capability capability);

// Whether the DEK is open, and the caller was the last who was let through.
inline bool IsReady(const keyring::CachedDek* dek, Capability capability) {
  return dek != nullptr && dek->dek && capability != Capability::kLoad &&
         dek->allowed_role[static_cast<std::size_t>(capability)] == GetUserId();
}

}  // namespace internal

// Takes in what other backends have changed: to be called once in every function that uses keys, after its
// arguments are detoasted and before anything below. May ereport, as everything here.
inline void RefreshKeys(FunctionCallInfo fcinfo) {
  AcceptInvalidationMessages();
  FindTables(fcinfo);
  if (internal::seen_changes != TableChanges()) [[unlikely]]
    internal::RereadKeys(fcinfo);
  if (DekCacheTtl() > 0) [[unlikely]]
    internal::ExpireKeys();
}

// The DEK that encrypts for the name: the newest active one. It stays usable until the transaction ends.
inline const keyring::CachedDek* DekForName(envelope::Purpose purpose, std::string_view name,
                                            Capability capability) {
  const keyring::CachedDek* const known = ThisBackend().deks.Active(purpose, name);
  if (!internal::IsReady(known, capability)) [[unlikely]]
    return internal::DekForName(purpose, name, capability);
  CountFound(Found::kInBackend);
  return known;
}
// The DEK that a stored value names.
inline const keyring::CachedDek* DekForId(envelope::Purpose purpose, std::uint32_t id,
                                          Capability capability) {
  const keyring::CachedDek* const known = ThisBackend().deks.ById(id);
  if (!internal::IsReady(known, capability) || known->row.purpose != purpose) [[unlikely]]
    return internal::DekForId(purpose, id, capability);
  CountFound(Found::kInBackend);
  return known;
}

// The usable versions of a name, or of every name of a purpose, that the caller may use: the newest ones,
// newest first. Not opened. At least one: raises when there is none.
inline constexpr int kMaxVersions = 8;
struct DekVersions {
  keyring::CachedDek* deks[kMaxVersions];
  int count;
};
DekVersions VersionsOfName(envelope::Purpose purpose, std::string_view name, Capability capability);
DekVersions VersionsOfPurpose(envelope::Purpose purpose, Capability capability);
// Whether the caller holds the capability for the DEK's name; and raises when not.
bool MayUse(keyring::CachedDek* dek, Capability capability);
void RequireCapability(keyring::CachedDek* dek, Capability capability);
// From the shared cache or on the token, unless it is open already.
void OpenDek(keyring::CachedDek* dek);
// The same rows alone: no token, no right, and nullptr where there is none.
const keyring::DekRow* RowForId(std::uint32_t id);
const keyring::DekRow* ActiveRow(envelope::Purpose purpose, std::string_view name);

// The clock of CachedDek::opened_at.
std::int64_t MonotonicSeconds();

// Keeps a DEK from being disabled or destroyed while this transaction may still write values under it: to be
// called before RefreshKeys. Raises 25006 on a standby. function: "tp_encrypt()".
inline void LockForEncryption(FunctionCallInfo fcinfo, const char* function) {
  if (internal::locked_for_encryption != FindTables(fcinfo).dek) [[unlikely]]
    internal::LockForEncryption(function);
}
inline bool HasEncrypted(Oid table) { return internal::locked_for_encryption == table; }
void ForgetEncryptionLock();  // at the end of a transaction

// The row of the KEK that wrapped it.
keyring::KekRow KekOf(const keyring::DekRow& row);

// The row with the id, an argument of SQL. Raises 42704 when there is none.
keyring::DekRow ExistingDek(int32 id);

// The KEK that wraps new DEKs. Raises 55000 before tp_setup.
keyring::KekRow NewestKek();

// Opens the DEK of a row on the token, past the cache and past privileges: for tp_setup.
void VerifyDek(const keyring::DekRow& row);

}  // namespace trustpoint::pg
