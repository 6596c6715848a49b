#include <gtest/gtest.h>

#include <string>

#include "envelope/base64.hpp"
#include "unit/vector_file.hpp"

namespace trustpoint::envelope {
namespace {

std::string Written(std::string_view bytes) {
  std::string text(Base64Size(bytes.size()), '?');
  WriteBase64(base::AsBytes(bytes), {reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return text;
}

std::optional<std::string> Read(std::string_view text) {
  const auto size = BytesInBase64(text);
  if (!size) return std::nullopt;
  std::string bytes(*size, '?');
  if (!ReadBase64(text, {reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()})) return std::nullopt;
  return bytes;
}

struct Example {
  std::string_view bytes, text;
};
constexpr Example kRfc4648[] = {{"", ""},
                                {"f", "Zg=="},
                                {"fo", "Zm8="},
                                {"foo", "Zm9v"},
                                {"foob", "Zm9vYg=="},
                                {"fooba", "Zm9vYmE="},
                                {"foobar", "Zm9vYmFy"}};

TEST(Base64, WritesAndReadsTheExamplesOfRfc4648) {
  for (const Example& example : kRfc4648) {
    EXPECT_EQ(Written(example.bytes), example.text);
    EXPECT_EQ(Read(example.text), example.bytes);
  }
}

TEST(Base64, ReadsWhatItWritesInEverySizeWithEveryByte) {
  std::string bytes;
  for (int size = 0; size < 600; ++size) {
    EXPECT_EQ(Read(Written(bytes)), bytes);
    bytes += static_cast<char>(size * 7);
  }
}

TEST(Base64, UsesTheWholeAlphabetInItsOrder) {
  std::string bytes;
  for (unsigned i = 0; i < 64; i += 4) {
    const unsigned bits = i << 18 | (i + 1) << 12 | (i + 2) << 6 | (i + 3);
    bytes += {static_cast<char>(bits >> 16), static_cast<char>(bits >> 8), static_cast<char>(bits)};
  }
  EXPECT_EQ(Written(bytes), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
}

TEST(Base64, RefusesEveryTruncation) {
  const std::string text = Written("a text of 23 bytes here");
  for (std::size_t size = 1; size < text.size(); ++size)
    EXPECT_EQ(Read(text.substr(0, size)).has_value(), size % 4 == 0) << size;
}

TEST(Base64, RefusesEveryCharacterOutsideTheAlphabetAnywhere) {
  const std::string good = Written("six by");
  for (std::size_t at = 0; at < good.size(); ++at)
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      std::string text = good;
      text[at] = c;
      const bool allowed = std::isalnum(byte) != 0 || c == '+' || c == '/';
      EXPECT_EQ(Read(text).has_value(), byte < 128 && allowed) << at << " " << byte;
    }
}

TEST(Base64, RefusesPaddingThatIsNotWhereItBelongs) {
  for (const std::string_view text : {"=", "==", "===", "====", "Zg=", "Zg===", "Z===", "Zm8",
                                      "Zg==Zg==", "Zm8=Zm8=", "Z=g=", "=Zg=", "Zm9v====", "Zm9v=", "Zm9=v"})
    EXPECT_FALSE(Read(text)) << text;
}

TEST(Base64, RefusesUnusedBitsThatAreNotZero) {
  for (const std::string_view text : {"Zh==", "Zv==", "Zm9=", "Zm//", "Zm+="}) {
    const bool whole = text == "Zm//";
    EXPECT_EQ(Read(text).has_value(), whole) << text;
  }
}

TEST(Base64, RefusesBlanks) {
  for (const std::string_view text : {"Zm9v\n", "Zm9v Zm9", "Zm 9", "\nZm9v\r\n"})
    EXPECT_FALSE(Read(text)) << text;
}

TEST(Base64, RefusesABufferOfAnotherSize) {
  test::Buffer bytes(4);
  EXPECT_FALSE(ReadBase64("Zm9v", bytes));
  EXPECT_FALSE(ReadBase64("Zm9v", base::MutableBytes(bytes).first(2)));
}

}  // namespace
}  // namespace trustpoint::envelope
