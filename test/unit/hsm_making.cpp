// Keys made in a token and brought into it.
#include "unit/hsm_fixture.hpp"

namespace trustpoint::test {
namespace {

using crypto::Curve;
using crypto::KeyType;

class MakingKeys : public HsmTest {
 protected:
  TokenKey Found(std::string_view label) {
    TokenKey key;
    OnToken([&](Session& session) { key = hsm::FindKey(session, {label, {}}); });
    return key;
  }
  // The flag of the private or secret half.
  bool Flag(std::string_view label, CK_ATTRIBUTE_TYPE type) {
    std::optional<bool> value;
    OnToken([&](Session& session) {
      value = pkcs11::ReadBool(session, hsm::FindKey(session, {label, {}}).secret, type);
    });
    return value.value();
  }
};

TEST_F(MakingKeys, EveryRsaSizeAndUsage) {
  for (const unsigned bits : {2048U, 3072U, 4096U})
    for (const Usage usage : {Usage::kSign, Usage::kDecrypt}) {
      const std::string label = std::to_string(bits) + hsm::UsageName(usage);
      const Octets id = MakeRsa(label, usage, bits);
      const TokenKey key = Found(label);
      EXPECT_EQ(key.type, KeyType::kRsa);
      EXPECT_EQ(key.bits, bits);
      EXPECT_EQ(key.id, id);
      EXPECT_EQ(key.label, label);
      EXPECT_EQ(key.can_sign, usage == Usage::kSign);
      EXPECT_EQ(key.can_decrypt, usage == Usage::kDecrypt) << "never both";
      EXPECT_EQ(key.RequirePublic().bits(), bits);
      for (const CK_ATTRIBUTE_TYPE yes :
           {CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE, CKA_LOCAL})
        EXPECT_TRUE(Flag(label, yes));
      for (const CK_ATTRIBUTE_TYPE no :
           {CKA_EXTRACTABLE, CKA_COPYABLE, CKA_UNWRAP, CKA_DERIVE, CKA_SIGN_RECOVER})
        EXPECT_FALSE(Flag(label, no));
    }
}

TEST_F(MakingKeys, EveryCurve) {
  for (const Curve curve : kCurves) {
    MakeEc(crypto::CurveName(curve), curve);
    const TokenKey key = Found(crypto::CurveName(curve));
    EXPECT_EQ(key.type, KeyType::kEc);
    EXPECT_EQ(key.curve, curve);
    EXPECT_TRUE(key.can_sign);
    EXPECT_FALSE(key.can_decrypt);
    EXPECT_EQ(key.RequirePublic().curve(), curve);
  }
}

TEST_F(MakingKeys, EveryAesSizeAndMode) {
  for (const unsigned bits : {128U, 192U, 256U})
    for (const AesMode mode : {AesMode::kGcm, AesMode::kCbcPad, AesMode::kEcb}) {
      const std::string label = std::to_string(bits) + hsm::AesModeName(mode);
      MakeAes(label, mode, bits);
      const TokenKey key = Found(label);
      EXPECT_EQ(key.type, KeyType::kAes);
      EXPECT_EQ(key.bits, bits);
      EXPECT_EQ(key.mode, mode) << "kept on the object itself";
      EXPECT_FALSE(Flag(label, CKA_EXTRACTABLE));
      EXPECT_FALSE(Flag(label, CKA_WRAP));
    }
}

TEST_F(MakingKeys, ImportsKeepNothingThatCanBeReadOut) {
  const std::pair<const char*, EVP_PKEY*> keys[] = {
      {"rsa 2048", RsaKey(2048)},     {"rsa 3072", RsaKey(3072)},     {"P-256", EcKey(Curve::kP256)},
      {"P-384", EcKey(Curve::kP384)}, {"P-521", EcKey(Curve::kP521)}, {"k1", EcKey(Curve::kSecp256k1)}};
  for (const auto& [label, key] : keys) {
    Import(label, key);
    EXPECT_TRUE(Flag(label, CKA_SENSITIVE));
    EXPECT_FALSE(Flag(label, CKA_EXTRACTABLE));
    EXPECT_FALSE(Found(label).can_decrypt);
    EXPECT_EQ(Found(label).RequirePublic().Pem(), PublicPem(key));
  }
  Import("opens", RsaKey(2048), Usage::kDecrypt);
  EXPECT_FALSE(Found("opens").can_sign);
  EXPECT_ERROR(kInvalidArgument, Import("no", EcKey(Curve::kP256), Usage::kDecrypt));
}

TEST_F(MakingKeys, RefusesArgumentsThatAreNone) {
  const std::size_t objects = Objects();
  EXPECT_ERROR(kInvalidArgument, MakeRsa("x", Usage::kSign, 1024));
  EXPECT_ERROR(kInvalidArgument, MakeRsa("x", Usage::kSign, 2047));
  EXPECT_ERROR(kInvalidArgument, MakeAes("x", AesMode::kGcm, 512));
  for (const std::string& label :
       {std::string(), std::string(65, 'x'), std::string("a\nb"), std::string("a\x7F")})
    EXPECT_ERROR(kInvalidArgument, MakeEc(label));
  EXPECT_ERROR(kInvalidArgument, MakeEc("trustpoint-pg-kek"));
  EXPECT_ERROR(kInvalidArgument, MakeEc("trustpoint-"));
  EXPECT_EQ(Objects(), objects);
  MakeEc(std::string(64, 'x'));
}

TEST_F(MakingKeys, RefusesALabelThatIsTaken) {
  MakeEc("taken");
  const std::size_t objects = Objects();
  EXPECT_ERROR(kExists, MakeEc("taken"));
  EXPECT_ERROR(kExists, MakeRsa("taken"));
  EXPECT_ERROR(kExists, MakeAes("taken", AesMode::kGcm));
  EXPECT_ERROR(kExists, Import("taken", RsaKey()));
  EXPECT_EQ(Objects(), objects) << "and leaves the one that has it";
}

TEST_F(MakingKeys, SaysWhichMechanismIsMissingBeforeItTries) {
  const auto message = [&](const char* label, auto make) {
    script_->Answer("C_GetMechanismInfo", CKR_MECHANISM_INVALID, 1, ScriptedToken::kForever);
    const auto error = ErrorOf([&] { make(label); });
    script_->Forget();
    EXPECT_TRUE(error);
    EXPECT_EQ(error->code(), base::ErrorCode::kTokenRefused);
    return std::string(error->what());
  };
  EXPECT_EQ(message("a", [&](const char* label) { MakeRsa(label); }),
            "the token does not support CKM_RSA_PKCS_KEY_PAIR_GEN");
  EXPECT_EQ(message("b", [&](const char* label) { MakeEc(label); }),
            "the token does not support CKM_ECDSA_KEY_PAIR_GEN");
  EXPECT_EQ(message("c", [&](const char* label) { MakeAes(label, AesMode::kGcm); }),
            "the token does not support CKM_AES_KEY_GEN");
  EXPECT_EQ(script_->Calls("C_GenerateKeyPair") + script_->Calls("C_GenerateKey"), 0);
}

// A token that does not do what it says.
TEST_F(MakingKeys, AKeyThatCameOutWeakerIsDestroyed) {
  struct Lie {
    CK_ATTRIBUTE_TYPE type;
    CK_BBOOL value;
  };
  const std::size_t objects = Objects();
  for (const Lie& lie :
       {Lie{CKA_SENSITIVE, CK_FALSE}, Lie{CKA_EXTRACTABLE, CK_TRUE}, Lie{CKA_PRIVATE, CK_FALSE},
        Lie{CKA_DECRYPT, CK_TRUE}, Lie{CKA_SIGN, CK_FALSE}, Lie{CKA_UNWRAP, CK_TRUE}}) {
    script_->EditAttribute([&](CK_ATTRIBUTE& attribute) {
      if (attribute.type == lie.type && attribute.ulValueLen == 1)
        *static_cast<CK_BBOOL*>(attribute.pValue) = lie.value;
    });
    EXPECT_ERROR(kTokenRefused, MakeRsa("weak"));
    if (lie.type != CKA_DECRYPT && lie.type != CKA_SIGN) {
      EXPECT_ERROR(kTokenRefused, Import("weak", RsaKey()));
      EXPECT_ERROR(kTokenRefused, MakeAes("weak", AesMode::kGcm));
    }
    script_->Forget();
    EXPECT_EQ(Objects(), objects);
  }
}

TEST_F(MakingKeys, AKeyWhoseProtectionCannotBeReadIsDestroyed) {
  const std::size_t objects = Objects();
  for (const CK_ATTRIBUTE_TYPE type : {CKA_SENSITIVE, CKA_EXTRACTABLE}) {
    script_->EditAttribute([&](CK_ATTRIBUTE& attribute) {
      if (attribute.type == type) attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
    });
    EXPECT_ERROR(kTokenRefused, MakeEc("unknown"));
    script_->Forget();
    EXPECT_EQ(Objects(), objects);
  }
}

TEST_F(MakingKeys, AKeyOnAnotherCurveIsDestroyed) {
  const std::size_t objects = Objects();
  script_->EditAttribute([](CK_ATTRIBUTE& attribute) {
    const base::Bytes other = crypto::CurveOid(Curve::kP521);
    if (attribute.type == CKA_EC_PARAMS && attribute.ulValueLen == other.size())
      base::Copy({static_cast<std::uint8_t*>(attribute.pValue), other.size()}, other);
  });
  EXPECT_ERROR(kInvalidArgument, MakeEc("odd", Curve::kP384));  // its point is not on that curve
  script_->Forget();
  EXPECT_EQ(Objects(), objects);
}

TEST_F(MakingKeys, AKeyThatDoesNotWorkIsDestroyed) {
  const std::size_t objects = Objects();
  script_->Answer("C_SignInit", CKR_KEY_FUNCTION_NOT_PERMITTED);
  EXPECT_ERROR(kTokenRefused, MakeEc("broken"));
  script_->Answer("C_Decrypt", CKR_ENCRYPTED_DATA_INVALID);
  EXPECT_ERROR(kTokenRefused, MakeRsa("broken", Usage::kDecrypt));
  script_->Answer("C_Encrypt", CKR_FUNCTION_FAILED);
  EXPECT_ERROR(kTokenUnreachable, MakeAes("broken", AesMode::kGcm));
  script_->Forget();
  EXPECT_EQ(Objects(), objects);
}

TEST_F(MakingKeys, IsNeverDoneTwice) {
  MakeEc("warm up");
  for (const CK_RV rv : {CKR_SESSION_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN, CKR_DEVICE_ERROR,
                         CKR_OPERATION_ACTIVE, CKR_SESSION_COUNT}) {
    const int calls = script_->Calls("C_GenerateKeyPair"), created = script_->Calls("C_CreateObject");
    script_->Answer("C_GenerateKeyPair", rv);
    EXPECT_TRUE(ErrorOf([&] { MakeEc("once"); }));
    script_->Answer("C_CreateObject", rv);
    EXPECT_TRUE(ErrorOf([&] { Import("once", EcKey(Curve::kP256)); }));
    EXPECT_EQ(script_->Calls("C_GenerateKeyPair"), calls + 1);
    EXPECT_EQ(script_->Calls("C_CreateObject"), created + 1);
  }
  MakeEc("once");
}

TEST_F(MakingKeys, AModuleThatRefusesUncommonAttributesGetsAPlainTemplate) {
  script_->Answer("C_GenerateKeyPair", CKR_ATTRIBUTE_TYPE_INVALID);
  MakeEc("pair");
  EXPECT_EQ(script_->Calls("C_GenerateKeyPair"), 2);
  script_->Answer("C_GenerateKey", CKR_TEMPLATE_INCONSISTENT);
  MakeAes("aes", AesMode::kGcm);
  EXPECT_EQ(Found("aes").mode, std::nullopt) << "then the caller must remember it";
  script_->Answer("C_CreateObject", CKR_ATTRIBUTE_VALUE_INVALID);
  Import("import", RsaKey());
  EXPECT_TRUE(Flag("import", CKA_SENSITIVE));
}

}  // namespace
}  // namespace trustpoint::test
