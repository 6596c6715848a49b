// The argument "algorithm" of functions that sign and verify.
#pragma once

#include <optional>

#include "crypto/public_key.hpp"
#include "pg/known_keys.hpp"
#include "pg/boundary.hpp"
#include "pg/sql_arguments.hpp"

namespace trustpoint::pg {

// Its name, palloc'ed.
inline const char* ShownAlgorithm(crypto::SignatureAlgorithm algorithm) {
  auto* name = static_cast<char*>(palloc(64));
  Run([&] { snprintf(name, 64, "%s", crypto::SignatureAlgorithmName(algorithm).c_str()); });
  return name;
}

class AlgorithmArgument {
 public:
  AlgorithmArgument(FunctionCallInfo fcinfo, int number) : text_(nullptr) {
    if (PG_ARGISNULL(number)) return;
    text_ = text_to_cstring(PG_GETARG_TEXT_PP(number));
  }

  // As the caller wrote it; nullptr for NULL, and for what is no name.
  const char* name() const {
    return text_ != nullptr && crypto::SignatureAlgorithmFromName(text_) ? text_ : nullptr;
  }

  // Raises 22023 for a name that is none.
  crypto::SignatureAlgorithm Named() const {
    const auto algorithm = crypto::SignatureAlgorithmFromName(text_);
    if (!algorithm)
      ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown signature algorithm"),
                      errhint("Use one of %.*s.", static_cast<int>(crypto::kSignatureAlgorithmNames.size()),
                              crypto::kSignatureAlgorithmNames.data())));
    return *algorithm;
  }

  // The one for this key: its default for NULL. Raises 22023 for one that is for other keys.
  crypto::SignatureAlgorithm For(const KnownKey& known) const {
    if (known.type == crypto::KeyType::kAes)
      ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("an AES key makes no signatures"),
                      errhint("Use an RSA or EC key of usage \"sign\".")));
    const crypto::SignatureAlgorithm algorithm =
        text_ != nullptr ? Named() : crypto::DefaultAlgorithm(known.type, known.curve);
    Run([&] { crypto::CheckAlgorithm(algorithm, known.type); });
    return algorithm;
  }

 private:
  const char* text_;
};

}  // namespace trustpoint::pg
