// The settings trustpoint.*, as PostgreSQL keeps them.
#pragma once

#include "envelope/value.hpp"
#include "pg/text.hpp"
#include "pkcs11/connection.hpp"

namespace trustpoint::pg {

enum class Audit : int { kNone, kKeys, kAll };
enum class RedactLog : int { kOff, kCalls, kAll };

void DefineSettings();  // from _PG_init

envelope::Suite CurrentSuite();  // trustpoint.cipher
int DekCacheTtl();               // seconds; 0: no bound
bool SharedDekCache();
Audit AuditLevel();
RedactLog RedactLogLevel();
Utf8 KekLabel();  // may ereport: not for use inside a body
const char* SoPinFile();
const char* RecoveryKeySha256();
// May throw: for use inside a body.
pkcs11::Config CurrentConfig();

}  // namespace trustpoint::pg
