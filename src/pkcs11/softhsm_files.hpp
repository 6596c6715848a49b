// SoftHSM's token files, kept alive.
//
// At every login SoftHSM (2.6; 2.7 less) empties a token's file token.object before it writes it anew. A
// process that is killed in between leaves it empty, and with it every key of the token is gone. Signals that
// can be blocked are; kill -9 and the out-of-memory killer are not, so a copy of the file stands beside it,
// and a file without content is replaced by its copy before SoftHSM looks at it.
#pragma once

#include <string>

namespace trustpoint::pkcs11 {

// Before C_Initialize, behind the gate: puts back each token file that is empty or zeros, and copies
// each whole one that changed. module: the path of the library; what is not SoftHSM is left alone, and what
// cannot be read or written is passed over: SoftHSM tells of it better. Returns how many files were put back.
int MendSoftHsmFiles(const std::string& module) noexcept;

}  // namespace trustpoint::pkcs11
