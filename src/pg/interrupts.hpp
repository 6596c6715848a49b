// Long work of the core, in pieces between which a cancelled statement ends.
#pragma once

#include "crypto/hash.hpp"
#include "pg/boundary.hpp"
#include "pg/postgres.hpp"

namespace trustpoint::pg {

// Asked by the core between two pieces: whether something will end this statement. Work that stops begins
// anew, so lesser interrupts do not count.
inline bool MustStop() { return QueryCancelPending || ProcDiePending; }

// The hash of data of any size.
inline crypto::Digest HashData(crypto::Hash hash, base::Bytes data) {
  constexpr size_t kPiece = 4 << 20;
  crypto::Digest digest;
  bool done = false;
  while (!done) {
    CHECK_FOR_INTERRUPTS();
    Run([&] {
      crypto::Hasher hasher(hash);
      for (size_t offset = 0; offset < data.size(); offset += kPiece) {
        if (MustStop()) return;
        hasher.Update(data.subspan(offset, std::min(kPiece, data.size() - offset)));
      }
      digest = hasher.Finish();
      done = true;
    });
  }
  return digest;
}

}  // namespace trustpoint::pg
