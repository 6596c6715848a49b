#include "envelope/dek.hpp"

#include <algorithm>

namespace trustpoint::envelope {
namespace {

// Appends to a block that is large enough by the limits of dek.hpp.
class Writer {
 public:
  explicit Writer(std::uint8_t* out) : out_(out) {}
  void Byte(std::uint8_t byte) { out_[size_++] = byte; }
  void U32(std::uint32_t value) {
    base::PutU32(out_ + size_, value);
    size_ += 4;
  }
  void Append(base::Bytes bytes) {
    base::Copy({out_ + size_, bytes.size()}, bytes);
    size_ += bytes.size();
  }
  std::size_t size() const { return size_; }

 private:
  std::uint8_t* out_;
  std::size_t size_ = 0;
};

}  // namespace

const char* PurposeName(Purpose purpose) {
  switch (purpose) {
    case Purpose::kData:
      return "data";
    case Purpose::kIndex:
      return "index";
    case Purpose::kTpsec:
      return "tpsec";
  }
  return "";
}

std::optional<Purpose> PurposeFromName(std::string_view name) {
  for (const Purpose purpose : {Purpose::kData, Purpose::kIndex, Purpose::kTpsec})
    if (name == PurposeName(purpose)) return purpose;
  return std::nullopt;
}

std::size_t WriteBindingInput(std::uint32_t id, Purpose purpose, base::Bytes name, base::Bytes kek_id,
                              base::Block<kMaxBindingInputSize>& out) noexcept {
  // A caller that breaks the limits gets a hash of what fits, never a write beyond the block.
  name = name.first(std::min(name.size(), kMaxDekNameSize));
  kek_id = kek_id.first(std::min<std::size_t>(kek_id.size(), 255));
  Writer writer(out.data());
  writer.Append(base::AsBytes("tpdek1"));
  writer.U32(id);
  writer.Byte(static_cast<std::uint8_t>(purpose));
  writer.U32(static_cast<std::uint32_t>(name.size()));
  writer.Append(name);
  writer.Byte(static_cast<std::uint8_t>(kek_id.size()));
  writer.Append(kek_id);
  return writer.size();
}

}  // namespace trustpoint::envelope
