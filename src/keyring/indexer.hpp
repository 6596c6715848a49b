// Blind indexes. The key of the last DEK is kept, as a query asks for many under one.
#pragma once

#include <cstdint>

#include "base/bytes.hpp"
#include "crypto/hmac.hpp"
#include "envelope/index.hpp"
#include "keyring/subkeys.hpp"

namespace trustpoint::keyring {

class Indexer {
 public:
  // dek: of purpose index.
  base::Block<envelope::kIndexSize> Index(const Dek& dek, envelope::IndexType type, base::Bytes context,
                                          base::Bytes value);

  // Wipes the key. At the end of every transaction, commit or abort.
  void EndTransaction() noexcept;

 private:
  crypto::HmacSha256Key hmac_;
  std::uint64_t serial_ = 0;  // the DEK; 0: none
};

}  // namespace trustpoint::keyring
