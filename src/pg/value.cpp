#include "pg/value.hpp"

#include <optional>

namespace trustpoint::pg {

struct varlena* AllocateVarlena(size_t size) {
  auto* result = static_cast<struct varlena*>(palloc(size + VARHDRSZ));
  SET_VARSIZE(result, size + VARHDRSZ);
  return result;
}

base::MutableBytes Content(struct varlena* value) {
  return {reinterpret_cast<std::uint8_t*>(VARDATA(value)), VARSIZE(value) - VARHDRSZ};
}

envelope::Value ParseValue(base::Bytes stored) {
  const std::optional<envelope::Value> value = envelope::Parse(stored);
  if (!value)
    ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION), errmsg("not a trustpoint value"),
                    errdetail("The suite is unknown, or the value is too short for it."),
                    errhint("Values are made by tp_encrypt; tp_is_encrypted tells them apart.")));
  return *value;
}

void RaiseNotAuthentic() {
  ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg("the value could not be authenticated"),
                  errdetail("It was encrypted with another context or key, or was changed."),
                  errhint("Decrypt with the very context that was given to tp_encrypt.")));
  pg_unreachable();
}

}  // namespace trustpoint::pg
