// Keys as the fuzzers of keys take them in: a text as it is, or DER that is put into PEM here, so that a
// change of one bit reaches the decoder of DER and does not end in that of base64.
#pragma once

#include <openssl/err.h>

#include <string>
#include <string_view>

#include "crypto/certificate.hpp"
#include "fuzz.hpp"

namespace trustpoint::test {

inline constexpr std::string_view kPemBegin = "-----BEGIN ";
inline constexpr std::string_view kPemKinds[] = {
    "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PUBLIC KEY",
};

// How far OpenSSL came with the input is told by the errors that it leaves: read has it read the text.
template <class Read>
void MarkErrors(Read read) {
  ERR_clear_error();
  read();
  while (const unsigned long code = ERR_get_error()) Mark(code);
}

// Input: PEM, or a byte that chooses the kind and DER.
inline std::string PemOf(base::Bytes bytes) {
  const std::string_view text = base::AsText(bytes);
  if (text.starts_with(kPemBegin) || bytes.size() < 2) return std::string(text);
  const std::string_view kind = kPemKinds[bytes[0] % std::size(kPemKinds)];
  return crypto::ToPem(kind, bytes.subspan(1));
}

}  // namespace trustpoint::test
