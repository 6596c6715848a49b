// From a name or a key id to an opened DEK: rows as they are now, the caller's right to use it, the token
// when needed.
#pragma once

#include <string_view>

#include "keyring/cache.hpp"
#include "pg/postgres.hpp"

namespace trustpoint::pg {

// What tp_grant grants on a DEK's name; kLoad needs no such grant, as it uses the DEK for nothing.
enum class Capability : std::uint8_t { kEncrypt, kDecrypt, kRewrap, kSearch, kLoad };

// Takes in what other backends have changed: to be called once in every function that uses keys, after its
// arguments are detoasted and before anything below. May ereport, as everything here.
void RefreshKeys(FunctionCallInfo fcinfo);

// The DEK that encrypts for the name: the newest active one. It stays usable until the transaction ends.
const keyring::CachedDek* DekForName(envelope::Purpose purpose, std::string_view name, Capability capability);
// The DEK that a stored value names.
const keyring::CachedDek* DekForId(envelope::Purpose purpose, std::uint32_t id, Capability capability);

// The usable versions of a name, or of every name of a purpose: the newest ones, newest first. Not opened,
// and the caller's rights not looked at. At least one: raises when there is none.
inline constexpr int kMaxVersions = 8;
struct DekVersions {
  keyring::CachedDek* deks[kMaxVersions];
  int count;
};
DekVersions VersionsOfName(envelope::Purpose purpose, std::string_view name);
DekVersions VersionsOfPurpose(envelope::Purpose purpose);
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

// Keeps a DEK from being disabled or destroyed while this transaction may still write values under it.
void LockForEncryption();
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
