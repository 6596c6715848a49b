// PINs: read from a file when they are needed, and remembered for the whole cluster when a token refused
// them.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/secret.hpp"

namespace trustpoint::pkcs11 {

// What tells one state of a PIN file from another.
struct FileIdentity {
  std::uint64_t device, inode, size, modified_ns, changed_ns;
  bool operator==(const FileIdentity&) const = default;
};

struct Pin {
  base::Secret text;
  FileIdentity file;
};

// Reads a PIN: the first line, without its end. The file must be regular (a symbolic link to one is followed,
// as container secrets are links), owned by the caller or root, and not open to others: mode 0600 at most, or
// 0640 when root owns it. Throws kNotConfigured (setting, e.g. "trustpoint.pin_file", is named in the
// message) for every other state: not set, missing, unreadable, open to others, empty, longer than 255 bytes.
Pin ReadPin(const std::string& path, std::string_view setting);

// What ReadPin asks of the file's kind, owner and mode when it runs as that user.
void CheckPinFile(const struct stat& file, uid_t user, std::string_view setting);

// What the memo needs of cryptography, handed in so that this room needs none of its own.
struct Primitives {
  base::Block<32> (*hmac_sha256)(base::Bytes key, base::Bytes data);
  void (*random)(base::MutableBytes out);
};

// The refused PIN of a cluster, in a file of mode 0600 that base backups leave out. Used behind the start
// gate only, so it needs no lock of its own. It holds no PIN: 16 bytes of HMAC-SHA-256(r, PIN) with r random
// for each server start, the module and token they belong to, and the PIN file's identity.
class PinMemo {
 public:
  // server_start: any number that differs between two starts of the server.
  PinMemo(std::string path, std::uint64_t server_start, Primitives primitives);

  // Throws kTokenRefused when this very PIN (or the unchanged file) was refused by this token before; the
  // hint says how to mend it. A login that a crash cut off counts as refused the second time.
  void Check(const std::string& module, const std::string& token_serial, const Pin& pin);
  // Before C_Login: from here on a crash leaves a trace.
  void Begin(const std::string& module, const std::string& token_serial, const Pin& pin);
  void Succeeded();
  void Refused(unsigned long answer);  // the token's CK_RV, which later refusals repeat
  // The try told nothing of the PIN: as if it had never begun.
  void Undecided();
  // Forgets, so that the same PIN is sent once more.
  void Clear();

 private:
  struct Record;
  struct Content;

  bool Load(Content* content) const;
  bool Store(const Content& content) const;
  Record* FindRecord(Content* content, const base::Block<16>& place) const;
  base::Block<16> Mac(const Content& content, base::Bytes data) const;
  base::Block<16> PlaceOf(const Content& content, const std::string& module, const std::string& serial) const;
  void Settle(unsigned long refusal);

  std::string path_;
  std::uint64_t server_start_;
  Primitives primitives_;
  base::Block<16> place_{};  // of the login that Begin announced
};

}  // namespace trustpoint::pkcs11
