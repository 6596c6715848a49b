#include "crypto/pem.hpp"

#include <openssl/bio.h>
#include <openssl/pem.h>

#include <new>

#include "crypto/openssl.hpp"

namespace trustpoint::crypto {
namespace {

void FreeText(char* text) { OPENSSL_free(text); }
using Text = Owned<char, FreeText>;

}  // namespace

Der::~Der() { OPENSSL_clear_free(bytes_.data(), bytes_.size()); }

std::optional<PemBlock> FindPem(std::string_view text, std::string_view end_of_name) {
  const Owned<BIO, BIO_free_all> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (bio == nullptr) ThrowOpenSsl("could not read PEM");
  while (const int left = BIO_pending(bio.get())) {
    char *name = nullptr, *header = nullptr;
    std::uint8_t* der = nullptr;
    long size = 0;
    if (PEM_read_bio(bio.get(), &name, &header, &der, &size) != 1) {
      // It has passed over what is no block; or it has no memory to read anything, now and the next time.
      if (BIO_pending(bio.get()) >= left) throw std::bad_alloc();
      continue;
    }
    const Text owned_name(name), owned_header(header);
    Der owned(der, static_cast<std::size_t>(size));
    if (std::string_view(name).ends_with(end_of_name)) return PemBlock{name, header, std::move(owned)};
  }
  return std::nullopt;
}

}  // namespace trustpoint::crypto
