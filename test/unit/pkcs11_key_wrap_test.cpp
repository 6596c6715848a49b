// RFC 3394 by both ways: against the RFC's known answers, against each other, and with damaged input.
#include "pkcs11/key_wrap.hpp"

#include "pkcs11_fixture.hpp"

namespace trustpoint::test {
namespace {

using pkcs11::Level;
using pkcs11::Session;
using pkcs11::Template;
using pkcs11::UnwrapBytes;
using pkcs11::WrapBytes;
using pkcs11::WrapMethod;

using Octets = std::vector<std::uint8_t>;

Octets Hex(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'A' + 10; };
  Octets bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(digit(text[i]) << 4 | digit(text[i + 1])));
  return bytes;
}

Octets Pattern(std::size_t size) {
  Octets bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::uint8_t>(i * 37 + 11);
  return bytes;
}

Octets Opened(const base::Secret& secret) { return {secret.view().begin(), secret.view().end()}; }

class KeyWrapFixture : public TokenTest {
 protected:
  KeyWrapFixture() : connection_(Connect()) {}

  // Runs operation(session, kek) with the key of the RFC's examples.
  template <class Operation>
  void WithKek(const char* key, Operation&& operation) {
    const Octets value = Hex(key);
    Run(*connection_, Level::kLogin, [&](Session& session) {
      Template attributes;
      attributes.Add(CKA_CLASS, CK_ULONG{CKO_SECRET_KEY}).Add(CKA_KEY_TYPE, CK_ULONG{CKK_AES});
      attributes.Add(CKA_TOKEN, false).Add(CKA_SENSITIVE, true).Add(CKA_EXTRACTABLE, false);
      for (const CK_ATTRIBUTE_TYPE use : {CKA_WRAP, CKA_UNWRAP, CKA_ENCRYPT, CKA_DECRYPT})
        attributes.Add(use, true);
      attributes.AddSecret(CKA_VALUE, value);
      CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
      session.Check(
          session.api()->C_CreateObject(session.handle(), attributes.data(), attributes.size(), &handle),
          "C_CreateObject");
      const pkcs11::TemporaryObject kek(session, handle);
      operation(session, handle);
    });
  }

  static constexpr const char* kKey = "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F";
  std::unique_ptr<pkcs11::Connection> connection_;
};

// Every test of it is run by both methods.
class KeyWrapTest : public KeyWrapFixture, public ::testing::WithParamInterface<WrapMethod> {};

INSTANTIATE_TEST_SUITE_P(Methods, KeyWrapTest,
                         ::testing::Values(WrapMethod::kKeyWrap, WrapMethod::kSingleBlocks),
                         [](const auto& parameter) {
                           return parameter.param == WrapMethod::kKeyWrap ? "KeyWrap" : "SingleBlocks";
                         });

TEST_P(KeyWrapTest, GivesTheKnownAnswersOfRfc3394) {
  struct Example {
    const char *key, *payload, *wrapped;
  };
  const Example examples[] = {
      {"000102030405060708090A0B0C0D0E0F", "00112233445566778899AABBCCDDEEFF",
       "1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5"},
      {kKey, "00112233445566778899AABBCCDDEEFF", "64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7"},
      {kKey, "00112233445566778899AABBCCDDEEFF0001020304050607",
       "A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1"},
      {kKey, "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
       "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"},
  };
  for (const Example& example : examples)
    WithKek(example.key, [&](Session& session, CK_OBJECT_HANDLE kek) {
      EXPECT_EQ(WrapBytes(session, kek, GetParam(), Hex(example.payload)), Hex(example.wrapped));
      EXPECT_EQ(Opened(UnwrapBytes(session, kek, GetParam(), Hex(example.wrapped))), Hex(example.payload));
    });
}

TEST_P(KeyWrapTest, GivesTheSameBytesAsTheOtherWayInEverySize) {
  const WrapMethod other =
      GetParam() == WrapMethod::kKeyWrap ? WrapMethod::kSingleBlocks : WrapMethod::kKeyWrap;
  WithKek(kKey, [&](Session& session, CK_OBJECT_HANDLE kek) {
    for (std::size_t size = 16; size <= 256; size += 8) {
      const Octets wrapped = WrapBytes(session, kek, GetParam(), Pattern(size));
      EXPECT_EQ(wrapped.size(), size + 8);
      EXPECT_EQ(Opened(UnwrapBytes(session, kek, other, wrapped)), Pattern(size));
    }
  });
}

TEST_P(KeyWrapTest, GivesAnEmptySecretForAnyDamage) {
  WithKek(kKey, [&](Session& session, CK_OBJECT_HANDLE kek) {
    const Octets wrapped = WrapBytes(session, kek, GetParam(), Pattern(64));
    for (std::size_t i = 0; i < wrapped.size(); ++i) {
      Octets damaged = wrapped;
      damaged[i] ^= 0x10;
      EXPECT_EQ(UnwrapBytes(session, kek, GetParam(), damaged).size(), 0U) << i;
    }
    EXPECT_EQ(UnwrapBytes(session, kek, GetParam(), base::Bytes(wrapped).first(64)).size(), 0U);
    EXPECT_EQ(Opened(UnwrapBytes(session, kek, GetParam(), wrapped)), Pattern(64))
        << "the session stays good";
  });
  EXPECT_EQ(starts_, 1);
}

TEST_P(KeyWrapTest, GivesAnEmptySecretForAnotherKek) {
  Octets wrapped;
  WithKek(kKey, [&](Session& session, CK_OBJECT_HANDLE kek) {
    wrapped = WrapBytes(session, kek, GetParam(), Pattern(64));
  });
  WithKek("FF0102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
          [&](Session& session, CK_OBJECT_HANDLE kek) {
            EXPECT_EQ(UnwrapBytes(session, kek, GetParam(), wrapped).size(), 0U);
          });
}

TEST_P(KeyWrapTest, RefusesSizesThatAreNone) {
  WithKek(kKey, [&](Session& session, CK_OBJECT_HANDLE kek) {
    for (const std::size_t size : {0U, 8U, 15U, 17U, 264U})
      EXPECT_ERROR(kInternal, WrapBytes(session, kek, GetParam(), Pattern(size)));
    for (const std::size_t size : {0U, 7U, 8U, 16U, 25U, 272U})
      EXPECT_EQ(UnwrapBytes(session, kek, GetParam(), Pattern(size)).size(), 0U) << size;
  });
}

TEST_P(KeyWrapTest, LeavesNoObjectBehind) {
  WithKek(kKey, [&](Session& session, CK_OBJECT_HANDLE kek) {
    const Octets wrapped = WrapBytes(session, kek, GetParam(), Pattern(64));
    UnwrapBytes(session, kek, GetParam(), wrapped);
    Template any;
    EXPECT_EQ(pkcs11::Find(session, any, 10).size(), 1U) << "only the KEK";
  });
}

TEST_P(KeyWrapTest, AWrongHandleIsAnErrorAndNotDamage) {
  const auto error = ErrorOf([&] {
    WithKek(kKey, [&](Session& session, CK_OBJECT_HANDLE kek) {
      UnwrapBytes(session, kek + 1000, GetParam(), Pattern(72));
    });
  });
  ASSERT_TRUE(error);
  EXPECT_NE(error->token_code(), CKR_OK);
}

class KeyWrapAnswers : public KeyWrapFixture {};

TEST_F(KeyWrapAnswers, EveryWayToSayDamagedIsUnderstood) {
  WithKek(kKey, [&](Session& session, CK_OBJECT_HANDLE kek) {
    const Octets wrapped = WrapBytes(session, kek, WrapMethod::kKeyWrap, Pattern(64));
    for (const CK_RV rv : {CKR_WRAPPED_KEY_INVALID, CKR_WRAPPED_KEY_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID,
                           CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED}) {
      script_->Answer("C_UnwrapKey", rv);
      EXPECT_EQ(UnwrapBytes(session, kek, WrapMethod::kKeyWrap, wrapped).size(), 0U);
    }
    script_->Answer("C_UnwrapKey", CKR_KEY_FUNCTION_NOT_PERMITTED);
    EXPECT_ERROR(kTokenRefused, UnwrapBytes(session, kek, WrapMethod::kKeyWrap, wrapped));
  });
}

TEST_F(KeyWrapAnswers, ABrokenTokenIsNotDamage) {
  WithKek(kKey, [&](Session& session, CK_OBJECT_HANDLE kek) {
    script_->Answer("C_UnwrapKey", CKR_GENERAL_ERROR);
    script_->Answer("C_GetTokenInfo", CKR_GENERAL_ERROR, 1, 3);
    EXPECT_ERROR(kTokenUnreachable, UnwrapBytes(session, kek, WrapMethod::kKeyWrap, Pattern(72)));
  });
}

TEST_F(KeyWrapAnswers, AModuleThatRefusesTheTemplateGetsABareOne) {
  WithKek(kKey, [&](Session& session, CK_OBJECT_HANDLE kek) {
    const Octets wrapped = WrapBytes(session, kek, WrapMethod::kKeyWrap, Pattern(64));
    script_->Answer("C_UnwrapKey", CKR_ATTRIBUTE_READ_ONLY, 1, 2);
    EXPECT_ERROR(kTokenRefused, UnwrapBytes(session, kek, WrapMethod::kKeyWrap, wrapped));
    EXPECT_EQ(script_->Calls("C_UnwrapKey"), 2);
  });
}

TEST_F(KeyWrapAnswers, TheBestMethodFollowsWhatTheTokenLists) {
  Run(*connection_, Level::kToken, [&](Session& session) {
    EXPECT_EQ(pkcs11::BestWrapMethod(session), WrapMethod::kKeyWrap);
    script_->Answer("C_GetMechanismInfo", CKR_MECHANISM_INVALID);
    EXPECT_EQ(pkcs11::BestWrapMethod(session), WrapMethod::kSingleBlocks);
    script_->Answer("C_GetMechanismInfo", CKR_MECHANISM_INVALID, 1, 2);
    EXPECT_ERROR(kTokenRefused, pkcs11::BestWrapMethod(session));
  });
}

}  // namespace
}  // namespace trustpoint::test
