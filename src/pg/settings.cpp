#include "pg/settings.hpp"

#include <unistd.h>

#include <cstdlib>

#include "pg/postgres.hpp"

extern "C" {
#include "utils/guc.h"
}

namespace trustpoint::pg {
namespace {

char* pkcs11_module;
char* token;
char* pin_file;
char* so_pin_file;
char* module_environment;
char* module_init_args;
char* kek_label;
char* recovery_key_sha256;
int cipher;
int dek_cache_ttl;
int audit;
bool shared_dek_cache;
int redact_log;

const config_enum_entry kCiphers[] = {{"xaes-256-gcm", static_cast<int>(envelope::Suite::kXaes256Gcm), false},
                                      {"aes-256-gcm", static_cast<int>(envelope::Suite::kAes256Gcm), false},
                                      {nullptr, 0, false}};

const config_enum_entry kAudits[] = {{"none", static_cast<int>(Audit::kNone), false},
                                     {"keys", static_cast<int>(Audit::kKeys), false},
                                     {"all", static_cast<int>(Audit::kAll), false},
                                     {nullptr, 0, false}};

const config_enum_entry kRedactLogs[] = {{"off", static_cast<int>(RedactLog::kOff), false},
                                         {"calls", static_cast<int>(RedactLog::kCalls), false},
                                         {"all", static_cast<int>(RedactLog::kAll), false},
                                         {nullptr, 0, false}};

// SoftHSM2's library, where distributions put it.
const char* DefaultModule() {
  static const char* const kPlaces[] = {
      "/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so",
      "/usr/lib64/pkcs11/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"};
  for (const char* place : kPlaces)
    if (access(place, R_OK) == 0) return place;
  return "";
}

const char* FromEnvironment(const char* name) {
  const char* value = getenv(name);
  return value != nullptr ? value : "";
}

void DefineText(const char* name, const char* description, char** variable, const char* boot_value,
                int flags) {
  DefineCustomStringVariable(name, description, nullptr, variable, boot_value, PGC_SUSET, flags, nullptr,
                             nullptr, nullptr);
}

}  // namespace

void DefineSettings() {
  DefineText("trustpoint.pkcs11_module", "Absolute path of the PKCS#11 library.", &pkcs11_module,
             DefaultModule(), GUC_SUPERUSER_ONLY);
  DefineText(
      "trustpoint.token",
      "Label of the token, or an RFC 7512 URI (pkcs11:token=...;serial=...). Empty: the only one there is.",
      &token, "", GUC_SUPERUSER_ONLY);
  DefineText("trustpoint.pin_file",
             "File that holds the user PIN of the token, readable by the server alone.", &pin_file,
             FromEnvironment("HSM_PIN_FILE"), GUC_SUPERUSER_ONLY);
  DefineText("trustpoint.so_pin_file", "File that holds the security officer's PIN, for tp_hsm_init_token.",
             &so_pin_file, FromEnvironment("HSM_SO_PIN_FILE"), GUC_SUPERUSER_ONLY);
  DefineText("trustpoint.module_environment",
             "Environment set before the library loads: NAME=value, several separated by semicolons.",
             &module_environment, "", GUC_SUPERUSER_ONLY);
  DefineText("trustpoint.module_init_args", "Reserved string of C_Initialize, as NSS needs one.",
             &module_init_args, "", GUC_SUPERUSER_ONLY);
  DefineText("trustpoint.kek_label", "Label of the key-encryption key that tp_setup() makes.", &kek_label,
             "trustpoint-pg-kek", 0);
  DefineText(
      "trustpoint.recovery_key_sha256",
      "SHA-256 of the recovery public key, in hex: the only key a DEK is exported to. Empty: no export.",
      &recovery_key_sha256, "", 0);
  DefineCustomEnumVariable(
      "trustpoint.cipher", "Suite of new values.",
      "aes-256-gcm saves 12 bytes a value and is good for 2^32 values of one DEK at most.", &cipher,
      static_cast<int>(envelope::Suite::kXaes256Gcm), kCiphers, PGC_SUSET, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("trustpoint.dek_cache_ttl", "Longest time that a backend uses a cached DEK.",
                          "0: as long as the backend lives.", &dek_cache_ttl, 0, 0, INT_MAX / 1000, PGC_SUSET,
                          GUC_UNIT_S, nullptr, nullptr, nullptr);
  DefineCustomEnumVariable("trustpoint.audit", "Which uses of keys are written to the server log.", nullptr,
                           &audit, static_cast<int>(Audit::kKeys), kAudits, PGC_SUSET, 0, nullptr, nullptr,
                           nullptr);
  // Defined in any case: a line in postgresql.conf would be an error without preloading.
  DefineCustomBoolVariable("trustpoint.shared_dek_cache",
                           "Whether a backend takes DEKs that another has unwrapped already.",
                           "Needs trustpoint in shared_preload_libraries.", &shared_dek_cache, true,
                           process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP, 0,
                           nullptr, nullptr, nullptr);
  DefineCustomEnumVariable(
      "trustpoint.redact_log",
      "Whose text, parameters and values are left out of the server log: of no statement, of those that name "
      "functions of trustpoint, of all.",
      "Without preloading only in sessions that have used trustpoint.", &redact_log,
      static_cast<int>(RedactLog::kCalls), kRedactLogs, PGC_SUSET, 0, nullptr, nullptr, nullptr);
#if PG_VERSION_NUM >= 150000
  MarkGUCPrefixReserved("trustpoint");
#else
  EmitWarningsOnPlaceholders("trustpoint");
#endif
}

envelope::Suite CurrentSuite() { return static_cast<envelope::Suite>(cipher); }
int DekCacheTtl() { return dek_cache_ttl; }
bool SharedDekCache() { return shared_dek_cache; }
Audit AuditLevel() { return static_cast<Audit>(audit); }
RedactLog RedactLogLevel() { return static_cast<RedactLog>(redact_log); }
Utf8 KekLabel() { return SettingToUtf8(kek_label); }
const char* SoPinFile() { return so_pin_file; }
const char* RecoveryKeySha256() { return recovery_key_sha256; }

pkcs11::Config CurrentConfig() {
  return {pkcs11_module, module_environment, module_init_args, token, pin_file};
}

}  // namespace trustpoint::pg
