// The stored formats: values, what a DEK is bound by, exports for recovery.
//
// Input: the length of a context, the context, and the bytes of a value.
#include <optional>

#include "envelope/dek.hpp"
#include "envelope/recovery.hpp"
#include "envelope/value.hpp"
#include "fuzz.hpp"
#include "keyring/opener.hpp"
#include "keyring/sealer.hpp"

namespace trustpoint::test {
namespace {

using base::Bytes;
using envelope::Suite;
using keyring::Dek;

// That of most vectors: what they stored opens.
Dek MakeDek() {
  base::Block<envelope::kDekSize> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  return {envelope::Purpose::kData, bytes};
}

struct State {
  Dek dek = MakeDek();
  keyring::Sealer sealer;
  keyring::Opener opener;
};

void Parse(Bytes stored) {
  const std::optional<envelope::Value> value = envelope::Parse(stored);
  Require(envelope::IsWellFormed(stored, stored.size()) == value.has_value(), "one opinion of the form");
  if (stored.size() >= envelope::kHeaderSize)
    Require(envelope::IsWellFormed(stored.first(envelope::kHeaderSize), stored.size()) == value.has_value(),
            "the head tells the form");
  if (!value) return;
  Require(value->key_id >= 1 && value->key_id <= 0x7FFFFFFF, "a key id is a positive int");
  Require(stored.size() == envelope::Overhead(value->suite) + value->ciphertext.size(), "the size is told");
  Buffer again(stored.size());
  const envelope::ValueSlots slots = envelope::Lay(value->suite, value->key_id, again);
  Require(slots.nonce.size() == value->nonce.size() && slots.tag.size() == value->tag.size() &&
              slots.ciphertext.size() == value->ciphertext.size(),
          "a value is laid as it is read");
  base::Copy(slots.nonce, value->nonce);
  base::Copy(slots.ciphertext, value->ciphertext);
  base::Copy(slots.tag, value->tag);
  Require(Same(again, stored), "a value is written as it was read");
}

// nullopt: no value, or not authentic.
std::optional<Buffer> Open(State& state, Bytes stored, Bytes context) {
  const std::optional<envelope::Value> value = envelope::Parse(stored);
  if (!value) return std::nullopt;
  Buffer plaintext(value->ciphertext.size(), 0xAA);
  if (state.opener.Open(state.dek, *value, context, plaintext)) return plaintext;
  Require(std::all_of(plaintext.begin(), plaintext.end(), [](std::uint8_t byte) { return byte == 0; }),
          "what is not authentic is wiped");
  return std::nullopt;
}

void RefuseChanges(State& state, Bytes stored, Bytes context) {
  Require(!Open(state, OneBitChanged(stored), context), "a changed value does not open");
  Buffer other = Copied(context);
  other.push_back('x');
  Require(!Open(state, stored, other), "a value does not open under another context");
}

void Seal(State& state, Bytes plaintext, Bytes context) {
  for (const Suite suite : {Suite::kXaes256Gcm, Suite::kAes256Gcm}) {
    Buffer stored(envelope::Overhead(suite) + plaintext.size());
    state.sealer.Seal(state.dek, suite, 0x7FFFFFFF, context, plaintext, stored);
    Parse(stored);
    const std::optional<Buffer> opened = Open(state, stored, context);
    Require(opened && Same(*opened, plaintext), "what was sealed opens");
    RefuseChanges(state, stored, context);
  }
}

void Recover(Bytes exported) {
  const std::optional<envelope::RecoveryExport> parsed = envelope::ParseRecovery(exported);
  const bool magic = base::AsText(exported).starts_with(envelope::kRecoveryMagic);
  Require(parsed.has_value() == (magic && exported.size() > envelope::kRecoveryHeadSize),
          "an export is told by its magic and its size");
  if (!parsed) return;
  base::Block<envelope::kKekIdSize> kek_id;
  Require(parsed->kek_id.size() == kek_id.size(), "a KEK's id is of one size");
  base::Copy(kek_id, parsed->kek_id);
  Buffer again = Copied(envelope::RecoveryHead(parsed->id, kek_id));
  again.insert(again.end(), parsed->ciphertext.begin(), parsed->ciphertext.end());
  Require(Same(again, exported), "an export is written as it was read");
}

// Two rows are never bound by the same bytes: they can be read back.
void Bind(Bytes name, Bytes kek_id) {
  for (const auto purpose :
       {envelope::Purpose::kData, envelope::Purpose::kIndex, envelope::Purpose::kTpsec}) {
    Require(envelope::PurposeFromName(envelope::PurposeName(purpose)) == purpose, "a purpose has one name");
    base::Block<envelope::kMaxBindingInputSize> out;
    const std::size_t size = envelope::WriteBindingInput(0x01020304, purpose, name, kek_id, out);
    Require(size <= out.size(), "a binding fits");
    Input input(out.data(), size);
    const Bytes head = input.Take(11);
    Require(head[10] == static_cast<std::uint8_t>(purpose), "the purpose is bound");
    const Bytes bound_name = input.Take(base::GetU32(input.Take(4).data()));
    Require(Same(bound_name, name.first(std::min(name.size(), envelope::kMaxDekNameSize))),
            "the name is bound");
    Require(Same(input.Counted(), kek_id.first(std::min<std::size_t>(kek_id.size(), 255))),
            "the KEK is bound");
    Require(input.rest().empty(), "nothing else is bound");
  }
  if (const auto purpose = envelope::PurposeFromName(base::AsText(name)))
    Require(base::AsText(name) == envelope::PurposeName(*purpose), "no purpose has two names");
}

}  // namespace
}  // namespace trustpoint::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace trustpoint::test;
  static auto* const state = new State;
  Input input(data, size);
  const auto context = input.Counted();
  const auto stored = input.rest();
  Parse(stored);
  if (Open(*state, stored, context)) RefuseChanges(*state, stored, context);
  Seal(*state, stored, context);
  Recover({data, size});
  Bind(context, stored);
  return 0;
}
