// What OpenSSL makes once for a process and that is the same in all of them: its providers and algorithms;
// and the mapping for keys. Made before the server forks, each new backend has it from the start, and its
// first decryption is that much sooner.
#pragma once

namespace trustpoint::crypto {

// Uses every algorithm of this room once, with keys of zeros; keeps no key and no random state. What fails is
// left to the process that needs it, and to its error.
void Prepare() noexcept;

}  // namespace trustpoint::crypto
