#include "pg/tpsec_field.hpp"

#include <optional>

#include "envelope/base64.hpp"
#include "pg/postgres.hpp"

namespace trustpoint::pg {

envelope::TpsecField ReadTpsecField(std::string_view text) {
  if (const std::optional<envelope::TpsecText> parsed = envelope::ParseTpsecText(text)) {
    auto* payload = static_cast<std::uint8_t*>(palloc(parsed->payload_size));
    const base::MutableBytes bytes(payload, parsed->payload_size);
    if (envelope::ReadBase64(parsed->base64, bytes)) return envelope::SplitTpsec(parsed->form, bytes);
  }
  ereport(
      ERROR,
      (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION), errmsg("not a field that Trustpoint encrypted"),
       errdetail("It has neither the form \"tpsec:v1:...\" nor the form before it."),
       errhint("A text that was stored in clear must be encrypted first, by tpsec_encrypt or tp_encrypt.")));
  pg_unreachable();
}

}  // namespace trustpoint::pg
