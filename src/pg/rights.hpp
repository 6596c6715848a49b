// Who may use and change keys: the owner of the extension, and whom tp_grant has let.
#pragma once

#include <string_view>

#include "pg/postgres.hpp"

namespace trustpoint::pg {

// All of them after FindTables. May ereport.

// The role that owns the extension's tables, and writes them.
Oid TablesOwner();
// Whether a role owns the extension's tables, or has the rights of who does; superusers always.
bool RoleIsOwner(Oid role);
// Raises 42501 unless the caller is. what: "export a DEK".
void RequireOwner(const char* what);
// Whether what was granted to the other is the role's as well. Never when the role was dropped: its sessions
// outlive it, and so do our rows, of which DROP OWNED knows nothing.
bool RoleHasGrantsOf(Oid role, Oid grantee);
// A role's name as SQL takes it for a regrole, as tp_grant and tp_grant_key do: for hints.
const char* RoleLiteral(const char* role);
// Raises 42501 unless the caller may change keys, by tp_grant(..., 'keys').
void RequireKeysGrant();
// Whether a role holds the capability for a DEK of this name; see tp_grant in the SQL script.
bool RoleMayUse(Oid role, std::string_view capability, std::string_view dek_name);

}  // namespace trustpoint::pg
