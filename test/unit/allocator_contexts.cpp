// Contexts of OpenSSL's whose size nothing tells: no key of theirs is kept, all else is as ever.
#include <gtest/gtest.h>

#include "crypto/expanded_key.hpp"
#include "crypto/short_gcm.hpp"
#include "crypto/xaes.hpp"
#include "unit/process_memory.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::crypto {
namespace {

using test::Buffer;

TEST(OtherAllocator, KeepsNoExpandedKeysAndClearsContexts) {
  const Buffer key(kKeySize, 0x11), prefix(kXaesPrefixSize, 0x33);
  ShortGcmOpener opener;
  XaesDeriver deriver;
  base::Block<kKeySize> derived, again;
  ExpandedKey kept;
  SetKey(deriver, kept, key);
  deriver.Derive(prefix, derived);
  EXPECT_FALSE(deriver.SetKey(kept));
  SetKey(opener, kept, derived);
  EXPECT_FALSE(opener.SetKey(kept));
  EXPECT_GT(test::ProcessMemory().Count(base::Bytes(derived).first(16)), 0U);
  deriver.Clear();
  opener.Clear();
  EXPECT_EQ(test::ProcessMemory().Count(base::Bytes(derived).first(16)), 0U);
  SetKey(deriver, kept, key);
  deriver.Derive(prefix, again);
  EXPECT_EQ(again, derived);
}

}  // namespace
}  // namespace trustpoint::crypto
