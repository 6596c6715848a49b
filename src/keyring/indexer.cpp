#include "keyring/indexer.hpp"

namespace trustpoint::keyring {

base::Block<envelope::kIndexSize> Indexer::Index(const Dek& dek, envelope::IndexType type,
                                                 base::Bytes context, base::Bytes value) {
  if (serial_ != dek.serial()) {
    serial_ = 0;
    hmac_.SetKey(dek.index_key());
    serial_ = dek.serial();
  }
  return hmac_.Code({envelope::IndexHead(type, context.size()), context, value});
}

void Indexer::EndTransaction() noexcept {
  serial_ = 0;
  hmac_.Clear();
}

}  // namespace trustpoint::keyring
