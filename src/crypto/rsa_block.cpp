// The padding checks are of OpenSSL's older interface, which alone takes a block that somebody else
// decrypted.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/rsa_block.hpp"

#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/error.hpp"
#include "crypto/openssl.hpp"

namespace trustpoint::crypto {
namespace {

// RFC 8017, section 9.2, note 1: all but the hash itself.
struct Prefix {
  std::uint8_t bytes[19];
  std::size_t size;
};
constexpr Prefix kPrefixes[] = {
    {{0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2B, 0x0E, 0x03, 0x02, 0x1A, 0x05, 0x00, 0x04, 0x14}, 15},
    {{0x30, 0x2D, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x04, 0x05, 0x00,
      0x04, 0x1C},
     19},
    {{0x30, 0x31, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
      0x04, 0x20},
     19},
    {{0x30, 0x41, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00,
      0x04, 0x30},
     19},
    {{0x30, 0x51, 0x30, 0x0D, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00,
      0x04, 0x40},
     19},
};

int Unpad(RsaPadding padding, base::Bytes block, base::MutableBytes out, base::Bytes label) {
  const int size = static_cast<int>(block.size());
  if (padding == RsaPadding::kPkcs1)
    return RSA_padding_check_PKCS1_type_2(out.data(), size, block.data(), size, size);
  const EVP_MD* hash = FetchedDigest(OaepHash(padding));
  return RSA_padding_check_PKCS1_OAEP_mgf1(out.data(), size, block.data(), size, size, label.data(),
                                           static_cast<int>(label.size()), hash, hash);
}

}  // namespace

std::size_t WriteDigestInfo(const Digest& digest, base::MutableBytes out) noexcept {
  const Prefix& prefix = kPrefixes[static_cast<std::size_t>(digest.hash)];
  base::Copy(out, base::Bytes(prefix.bytes).first(prefix.size));
  base::Copy(out.subspan(prefix.size), digest.view());
  return prefix.size + digest.size;
}

std::optional<std::size_t> UnpadRsaBlock(RsaPadding padding, base::Bytes block, base::MutableBytes out,
                                         base::Bytes label) {
  if (out.size() < block.size()) throw base::Error(base::ErrorCode::kInternal, "no room for an RSA block");
  const CleanErrors errors;
  const int size = block.empty() ? -1 : Unpad(padding, block, out, label);
  if (size >= 0) {
    base::Wipe(out.subspan(static_cast<std::size_t>(size)));
    return static_cast<std::size_t>(size);
  }
  base::Wipe(out);
  ThrowIfOutOfMemory();
  return std::nullopt;
}

}  // namespace trustpoint::crypto
