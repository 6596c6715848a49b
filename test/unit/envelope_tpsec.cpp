// Trustpoint's fields and wrapped DEKs, taken apart: every truncation, every wrong byte.
#include <gtest/gtest.h>

#include <string>

#include "envelope/base64.hpp"
#include "envelope/tpsec.hpp"
#include "envelope/tpsec_dek.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::envelope {
namespace {

std::vector<test::Record> Vectors(const std::string& kind) {
  std::vector<test::Record> chosen;
  for (const test::Record& record : test::ReadVectors(TRUSTPOINT_OWN_VECTORS, "kind"))
    if (record.Text("kind") == kind) chosen.push_back(record);
  EXPECT_FALSE(chosen.empty());
  return chosen;
}

std::string TextOf(const test::Record& record, const std::string& field) {
  return std::string(base::AsText(record.Bytes(field)));
}

TpsecForm FormOf(const test::Record& record) {
  return TextOf(record, "form") == "today" ? TpsecForm::kToday : TpsecForm::kBefore;
}

TEST(Tpsec, FieldsAreParsedIntoTheirParts) {
  for (const test::Record& record : Vectors("tpsec_field")) {
    const std::string text = TextOf(record, "field");
    const auto parsed = ParseTpsecText(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(parsed->form, FormOf(record));
    test::Buffer payload(parsed->payload_size);
    ASSERT_TRUE(ReadBase64(parsed->base64, payload));
    const TpsecField field = SplitTpsec(parsed->form, payload);
    EXPECT_EQ(test::ToHex(field.nonce), record.Text("nonce"));
    EXPECT_EQ(field.tag.size(), kTpsecTagSize);
    EXPECT_EQ(field.ciphertext.size(), record.Bytes("padded").size());
    EXPECT_EQ(TpsecPlaintextSize(parsed->form, record.Bytes("padded")), record.Bytes("plaintext").size());
  }
}

TEST(Tpsec, EveryTruncationOfAFieldIsShorterOrNone) {
  for (const test::Record& record : Vectors("tpsec_field")) {
    const std::string text = TextOf(record, "field");
    const std::size_t whole = ParseTpsecText(text)->payload_size;
    for (std::size_t size = 0; size < text.size(); ++size)
      if (const auto parsed = ParseTpsecText(std::string_view(text).substr(0, size))) {
        EXPECT_LT(parsed->payload_size, whole);
        EXPECT_GE(parsed->payload_size, kTpsecOverhead + (parsed->form == TpsecForm::kBefore ? 1 : 0));
      }
  }
}

TEST(Tpsec, WhatIsTooShortIsNone) {
  EXPECT_FALSE(ParseTpsecText(""));
  EXPECT_FALSE(ParseTpsecText("tpsec:v1:"));
  EXPECT_FALSE(ParseTpsecText("tpsec:v1:" + std::string(36, 'A')));        // 27 bytes
  EXPECT_TRUE(ParseTpsecText("tpsec:v1:" + std::string(38, 'A') + "=="));  // 28: an empty plaintext
  EXPECT_FALSE(ParseTpsecText(std::string(38, 'A') + "=="));               // 28: no room for the padding
  EXPECT_TRUE(ParseTpsecText(std::string(39, 'A') + "="));                 // 29
}

TEST(Tpsec, APrefixIsTakenOnceAndToTheLetter) {
  const std::string base64(40, 'A');
  EXPECT_EQ(ParseTpsecText(base64)->form, TpsecForm::kBefore);
  EXPECT_EQ(ParseTpsecText("tpsec:v1:" + base64)->form, TpsecForm::kToday);
  // These have a colon in what they would decode, or no length of base64.
  for (const char* prefix : {"tpsec:v2:", "TPSEC:v1:", "tpsec:v1", " tpsec:v1:", "tpsec:v1:tpsec:v1:"}) {
    const std::string text = prefix + base64;
    const auto parsed = ParseTpsecText(text);
    if (!parsed) continue;
    test::Buffer payload(parsed->payload_size);
    EXPECT_FALSE(ReadBase64(parsed->base64, payload)) << prefix;
  }
}

TEST(Tpsec, TheSlotsOfANewFieldAreThePartsOfAParsedOne) {
  test::Buffer payload(kTpsecOverhead + 5);
  const TpsecSlots slots = LayTpsec(payload);
  const TpsecField field = SplitTpsec(TpsecForm::kToday, payload);
  EXPECT_EQ(slots.nonce.data(), field.nonce.data());
  EXPECT_EQ(slots.tag.data(), field.tag.data());
  EXPECT_EQ(slots.ciphertext.data(), field.ciphertext.data());
  EXPECT_EQ(slots.ciphertext.size(), 5U);
}

TEST(Tpsec, OnlyTheFormOfTodayHasAnAad) {
  EXPECT_EQ(base::AsText(TpsecAad(TpsecForm::kToday)), "trustpoint-app-secrets-v1");
  EXPECT_TRUE(TpsecAad(TpsecForm::kBefore).empty());
}

TEST(Tpsec, ThePaddingOfTheFormBeforeIsExact) {
  const auto size = [](test::Buffer padded) { return TpsecPlaintextSize(TpsecForm::kBefore, padded); };
  EXPECT_EQ(size({0}), 0U);
  EXPECT_EQ(size({'x', 0}), 1U);
  EXPECT_EQ(size({0, 0}), 1U) << "a zero byte of the plaintext itself";
  EXPECT_EQ(size({'x', 0, 1}), 1U);
  EXPECT_EQ(size({0, 0, 2}), 0U);
  EXPECT_FALSE(size({}));
  EXPECT_FALSE(size({'x'})) << "no padding";
  EXPECT_FALSE(size({1})) << "more than there is";
  EXPECT_FALSE(size({'x', 1})) << "no zero";
  EXPECT_FALSE(size({'x', 0, 'x', 0, 3})) << "not all zeros";
  test::Buffer longest(17, 0);
  longest.back() = 15;
  EXPECT_EQ(size(longest), 1U);
  longest.back() = 16;
  EXPECT_FALSE(size(longest)) << "Trustpoint never wrote so many";
  EXPECT_EQ(TpsecPlaintextSize(TpsecForm::kToday, test::Buffer{'x'}), 1U) << "today's has none";
}

TpsecWrap WrapOf(const std::string& form) {
  if (form == "ecb") return TpsecWrap::kEcb;
  if (form == "cbc-pad") return TpsecWrap::kCbcPad;
  return form == "cbc" ? TpsecWrap::kCbc : TpsecWrap::kWrapKey;
}

TEST(TpsecDek, EveryFormIsParsed) {
  for (const test::Record& record : Vectors("tpsec_dek")) {
    const test::Buffer wrapped = record.Bytes("wrapped");
    const auto parsed = ParseTpsecDek(wrapped);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->wrap, WrapOf(TextOf(record, "form")));
    EXPECT_EQ(ProvesItself(parsed->wrap), parsed->wrap == TpsecWrap::kWrapKey);
    EXPECT_EQ(parsed->iv.size(),
              parsed->wrap == TpsecWrap::kCbc || parsed->wrap == TpsecWrap::kCbcPad ? 16U : 0U);
    // The ciphertext is the end of the value.
    EXPECT_EQ(parsed->ciphertext.data() + parsed->ciphertext.size(), wrapped.data() + wrapped.size());
  }
}

TEST(TpsecDek, AnotherLengthOrPrefixIsNone) {
  for (const test::Record& record : Vectors("tpsec_dek")) {
    const test::Buffer wrapped = record.Bytes("wrapped");
    for (std::size_t size = 0; size < wrapped.size(); ++size) {
      const auto parsed = ParseTpsecDek(base::Bytes(wrapped).first(size));
      // Cut by a word the PKCS#7 kind has the length of the others; it fails its own check later.
      if (parsed) {
        EXPECT_EQ(parsed->wrap, TpsecWrap::kWrapKey);
        EXPECT_EQ(size + 8, wrapped.size());
      }
    }
    test::Buffer longer = wrapped;
    longer.push_back(0);
    EXPECT_FALSE(ParseTpsecDek(longer));
    if (WrapOf(TextOf(record, "form")) == TpsecWrap::kEcb) continue;
    for (std::size_t at = 0; at < std::string_view("tpsec:pkcs11:enc-cbc").size(); ++at) {
      test::Buffer other = wrapped;
      other[at] ^= 1;
      EXPECT_FALSE(ParseTpsecDek(other)) << at;
    }
  }
}

TEST(TpsecDek, AVersionToComeIsNotTakenForTheFormWithoutAPrefix) {
  std::string wrapped = "tpsec:pkcs11:kem:v9:";
  wrapped.resize(40, 'x');
  EXPECT_FALSE(ParseTpsecDek(base::AsBytes(wrapped)));
  wrapped[0] = 'T';
  EXPECT_TRUE(ParseTpsecDek(base::AsBytes(wrapped)));
}

}  // namespace
}  // namespace trustpoint::envelope
