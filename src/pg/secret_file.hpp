// A file of the server that holds a secret: read under the rules of PIN files, and wiped from memory.
#pragma once

#include <string_view>
#include <vector>

#include "base/bytes.hpp"

namespace trustpoint::pg {

// For bodies. Throws kInvalidArgument unless the path is absolute and the file a regular one, at most 64 KB,
// of the server's user or root, and not open to others. what names the secret in the message.
class SecretFile {
 public:
  SecretFile(std::string_view path, std::string_view what);
  ~SecretFile() { base::Wipe(content_); }
  SecretFile(const SecretFile&) = delete;
  SecretFile& operator=(const SecretFile&) = delete;

  base::Bytes bytes() const { return content_; }
  base::Bytes FirstLine() const;  // without its end

 private:
  std::vector<std::uint8_t> content_;
};

}  // namespace trustpoint::pg
