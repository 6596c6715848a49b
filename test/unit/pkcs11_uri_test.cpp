#include "pkcs11/uri.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace trustpoint::pkcs11 {
namespace {

std::string Refusal(std::string_view text) {
  try {
    ParseTokenUri(text);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    return error.failure().detail;
  }
  return "accepted";
}

TEST(TokenUri, ReadsItsFourAttributes) {
  const TokenUri uri = ParseTokenUri("pkcs11:token=My%20Token;serial=0a1B;manufacturer=A%26B;model=v1.0");
  EXPECT_EQ(uri.token, "My Token");
  EXPECT_EQ(uri.serial, "0a1B");
  EXPECT_EQ(uri.manufacturer, "A&B");
  EXPECT_EQ(uri.model, "v1.0");
}

TEST(TokenUri, LeavesOutWhatIsNotGiven) {
  const TokenUri uri = ParseTokenUri("pkcs11:serial=1");
  EXPECT_FALSE(uri.token || uri.manufacturer || uri.model);
  EXPECT_FALSE(ParseTokenUri("pkcs11:").token);
}

TEST(TokenUri, DecodesUtf8AndUpperAndLowerHexadecimal) {
  EXPECT_EQ(ParseTokenUri("pkcs11:token=%c3%B6%2f").token, "\xC3\xB6/");
  EXPECT_EQ(ParseTokenUri("pkcs11:token=a%3Bb%25").token, "a;b%");
  EXPECT_EQ(ParseTokenUri("pkcs11:token=").token, "");
}

TEST(TokenUri, RefusesByNameWhatBringsAPinOrCode) {
  EXPECT_EQ(Refusal("pkcs11:token=a?pin-value=1234").find("pin-value is not accepted"), 0U);
  EXPECT_EQ(Refusal("pkcs11:token=a?pin-source=file:/pin").find("pin-source is not accepted"), 0U);
  EXPECT_EQ(Refusal("pkcs11:token=a?module-path=/evil.so").find("module-path is not accepted"), 0U);
  EXPECT_EQ(Refusal("pkcs11:token=a;pin-value=1234").find("pin-value is not accepted"), 0U);
}

TEST(TokenUri, NeverQuotesThePinItRefuses) {
  EXPECT_EQ(Refusal("pkcs11:token=a?pin-value=13579").find("13579"), std::string::npos);
  EXPECT_EQ(Refusal("pkcs11:13579=a").find("13579"), std::string::npos);
}

TEST(TokenUri, RefusesWhatDoesNotNameAToken) {
  EXPECT_EQ(Refusal("pkcs11:object=key"), "object does not name a token.");
  EXPECT_EQ(Refusal("pkcs11:slot-id=3"), "slot-id does not name a token.");
  EXPECT_EQ(Refusal("pkcs11:unheard=1"), "It has an attribute that is not known.");
}

TEST(TokenUri, RefusesMalformedText) {
  for (const char* bad :
       {"token=a", "PKCS11:token=a", "pkcs11:token", "pkcs11:token=%4", "pkcs11:token=%zz", "pkcs11:token=a%",
        "pkcs11:token=a;token=b", "pkcs11:token=a b", "pkcs11:;", "pkcs11:token=a;;", "pkcs11:token=a/b",
        "pkcs11:token=a?", "pkcs11:=a", "pkcs11:token=a#b"})
    EXPECT_NE(Refusal(bad), "accepted") << bad;
}

}  // namespace
}  // namespace trustpoint::pkcs11
