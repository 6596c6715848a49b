// Our formats against values that test/vectors/make_vectors.py made without our code.
#include <gtest/gtest.h>

#include <string>

#include "crypto/gcm.hpp"
#include "crypto/hmac.hpp"
#include "crypto/kdf.hpp"
#include "envelope/dek.hpp"
#include "envelope/index.hpp"
#include "unit/format_sealing.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::test {
namespace {

std::vector<Record> Vectors(const std::string& kind) {
  std::vector<Record> chosen;
  for (const Record& record : ReadVectors(TRUSTPOINT_OWN_VECTORS, "kind"))
    if (record.Text("kind") == kind) chosen.push_back(record);
  EXPECT_FALSE(chosen.empty()) << kind;
  return chosen;
}

Buffer Subkey(const Record& record, const char* info) {
  Buffer subkey(crypto::kKeySize);
  crypto::HkdfSha256(record.Bytes("dek"), info, subkey);
  return subkey;
}

TEST(FormatVectors, ValuesAreSealedToTheSameBytes) {
  for (const Record& record : Vectors("value"))
    EXPECT_EQ(ToHex(SealValue(static_cast<envelope::Suite>(record.Number("suite")), record.Number("key_id"),
                              record.Bytes("dek"), record.Bytes("nonce"), record.Bytes("context"),
                              record.Bytes("plaintext"))),
              record.Text("stored"));
}

TEST(FormatVectors, ValuesAreOpenedToTheirPlaintext) {
  for (const Record& record : Vectors("value")) {
    const auto opened = OpenValue(record.Bytes("stored"), record.Bytes("dek"), record.Bytes("context"));
    ASSERT_TRUE(opened) << record.Text("stored");
    EXPECT_EQ(*opened, record.Bytes("plaintext"));
  }
}

TEST(FormatVectors, BindingsHaveTheSameInputAndHash) {
  for (const Record& record : Vectors("binding")) {
    base::Block<envelope::kMaxBindingInputSize> out;
    const std::size_t size = envelope::WriteBindingInput(
        record.Number("id"), static_cast<envelope::Purpose>(record.Number("purpose")), record.Bytes("name"),
        record.Bytes("kek_id"), out);
    const base::Bytes input(out.data(), size);
    EXPECT_EQ(ToHex(input), record.Text("input"));
    EXPECT_EQ(ToHex(crypto::Sha256({input})), record.Text("m"));
  }
}

TEST(FormatVectors, CheckValuesAreTheSame) {
  for (const Record& record : Vectors("check"))
    EXPECT_EQ(ToHex(crypto::HmacSha256(Subkey(record, "trustpoint check v1"), {record.Bytes("m")})),
              record.Text("check"));
}

TEST(FormatVectors, BlindIndexesAreTheSame) {
  for (const Record& record : Vectors("index")) {
    const Buffer context = record.Bytes("context");
    const auto head =
        envelope::IndexHead(static_cast<envelope::IndexType>(record.Number("type")), context.size());
    crypto::HmacSha256Key hmac;
    hmac.SetKey(Subkey(record, "trustpoint index v1"));
    EXPECT_EQ(ToHex(hmac.Code({head, context, record.Bytes("plaintext")})), record.Text("index"));
  }
}

TEST(FormatVectors, WrapsHaveTheSizeOfTheFormat) {
  for (const Record& record : Vectors("wrap")) {
    EXPECT_EQ(record.Bytes("dek").size() + record.Bytes("m").size(), envelope::kPayloadSize);
    EXPECT_EQ(record.Bytes("wrapped").size(), envelope::kWrappedSize);
  }
}

}  // namespace
}  // namespace trustpoint::test
