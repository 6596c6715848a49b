// Trustpoint's own formats: base64, fields in both forms, wrapped DEKs in all.
//
// Input: a field's text, or a wrapped DEK, or a plaintext.
#include <optional>
#include <string>

#include "envelope/base64.hpp"
#include "envelope/tpsec.hpp"
#include "envelope/tpsec_dek.hpp"
#include "fuzz.hpp"
#include "keyring/tpsec.hpp"
#include "keyring/tpsec_dek.hpp"

namespace trustpoint::test {
namespace {

using base::Bytes;
using envelope::TpsecForm;
using envelope::TpsecWrap;
using keyring::Dek;

// That of the vectors: their fields open.
constexpr base::Block<envelope::kDekSize> kDek = [] {
  base::Block<envelope::kDekSize> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  return bytes;
}();

std::string ToBase64(Bytes bytes) {
  std::string text(envelope::Base64Size(bytes.size()), ' ');
  envelope::WriteBase64(bytes, {reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return text;
}

// nullopt: no base64.
std::optional<Buffer> FromBase64(std::string_view text) {
  const std::optional<std::size_t> size = envelope::BytesInBase64(text);
  if (!size) return std::nullopt;
  Buffer bytes(*size);
  if (!envelope::ReadBase64(text, bytes)) return std::nullopt;
  Require(ToBase64(bytes) == text, "bytes have one base64");
  return bytes;
}

void Base64(Bytes bytes) {
  FromBase64(base::AsText(bytes));
  const std::optional<Buffer> again = FromBase64(ToBase64(bytes));
  Require(again && Same(*again, bytes), "base64 is read as it was written");
}

// Whether the text is a field and opens.
bool Opens(std::string_view text) {
  const std::optional<envelope::TpsecText> parsed = envelope::ParseTpsecText(text);
  if (!parsed) return false;
  Require((parsed->form == TpsecForm::kToday) == text.starts_with(envelope::kTpsecPrefix),
          "the prefix tells the form");
  const std::optional<Buffer> payload = FromBase64(parsed->base64);
  if (!payload) return false;
  Require(payload->size() == parsed->payload_size, "the size of a payload is told");
  const envelope::TpsecField field = envelope::SplitTpsec(parsed->form, *payload);

  Buffer again(payload->size());
  const envelope::TpsecSlots slots = envelope::LayTpsec(again);
  base::Copy(slots.nonce, field.nonce);
  base::Copy(slots.tag, field.tag);
  base::Copy(slots.ciphertext, field.ciphertext);
  Require(Same(again, *payload), "a payload is written as it was read");

  Buffer scratch(field.ciphertext.size());
  return keyring::OpensField(kDek, field, scratch);
}

void Field(std::string_view text) {
  if (Opens(text))
    Require(!Opens(base::AsText(OneBitChanged(base::AsBytes(text)))), "a changed field does not open");
}

void Seal(Bytes plaintext) {
  static auto* const dek = new Dek(envelope::Purpose::kTpsec, kDek);
  static auto* const cipher = new keyring::TpsecCipher;
  Buffer payload(envelope::kTpsecOverhead + plaintext.size());
  cipher->Seal(*dek, plaintext, payload);
  const std::string text = std::string(envelope::kTpsecPrefix) + ToBase64(payload);
  Require(Opens(text), "what was sealed opens");
  Require(!Opens(base::AsText(OneBitChanged(base::AsBytes(text)))), "a changed field does not open");
  Buffer opened(plaintext.size());
  Require(
      cipher->Open(*dek, envelope::SplitTpsec(TpsecForm::kToday, payload), opened) && Same(opened, plaintext),
      "what was sealed opens to the same");
}

void Padding(Bytes padded) {
  Require(envelope::TpsecPlaintextSize(TpsecForm::kToday, padded) == padded.size(),
          "today's form has no padding");
  const std::optional<std::size_t> size = envelope::TpsecPlaintextSize(TpsecForm::kBefore, padded);
  if (!size) return;
  Require(*size < padded.size() && padded.size() - *size <= 16, "the padding has 1 to 16 bytes");
  Buffer again = Copied(padded.first(*size));
  const auto zeros = static_cast<std::uint8_t>(padded.size() - *size - 1);
  again.resize(again.size() + zeros);
  again.push_back(zeros);
  Require(Same(again, padded), "the padding is what is added to the plaintext");
}

void WrappedDek(Bytes wrapped) {
  const std::optional<envelope::TpsecDek> dek = envelope::ParseTpsecDek(wrapped);
  if (!dek) return;
  const bool iv = dek->wrap == TpsecWrap::kCbc || dek->wrap == TpsecWrap::kCbcPad;
  Require(dek->iv.size() == (iv ? 16U : 0U), "CBC has an IV, the others have none");
  Require(dek->ciphertext.size() >= envelope::kDekSize && dek->ciphertext.size() <= 48,
          "a wrapped DEK has the size of its form");
  Buffer parts = Copied(dek->iv);
  parts.insert(parts.end(), dek->ciphertext.begin(), dek->ciphertext.end());
  Require(parts.size() < wrapped.size() || dek->wrap == TpsecWrap::kWrapKey, "something stands before it");
  Require(Same(parts, wrapped.last(parts.size())), "IV and ciphertext are the end of a wrapped DEK");
  Require(base::AsText(wrapped).starts_with("tpsec:") == (dek->wrap != TpsecWrap::kEcb),
          "the form before has no prefix");
}

}  // namespace
}  // namespace trustpoint::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace trustpoint::test;
  const trustpoint::base::Bytes bytes(data, size);
  Base64(bytes);
  Field(trustpoint::base::AsText(bytes));
  Seal(bytes);
  Padding(bytes);
  WrappedDek(bytes);
  return 0;
}
