// A token that fails at every step of a signature and of a decryption: the result is right, or there is one
// clear error and the next call is well again; never another key, and never a second try of a PIN.
#include "unit/hsm_fixture.hpp"

namespace trustpoint::test {
namespace {

using base::ErrorCode;
using crypto::RsaPadding;

const crypto::SignatureAlgorithm kEcdsa{crypto::Scheme::kEcdsa, crypto::Hash::kSha256};
const Octets kData = Bytes("data");

struct Fault {
  const char* name;
  CK_RV rv;
};
constexpr Fault kFaults[] = {
    {"session closed", CKR_SESSION_CLOSED},     {"session handle invalid", CKR_SESSION_HANDLE_INVALID},
    {"object gone", CKR_OBJECT_HANDLE_INVALID}, {"key gone", CKR_KEY_HANDLE_INVALID},
    {"token gone", CKR_TOKEN_NOT_PRESENT},      {"device removed", CKR_DEVICE_REMOVED},
    {"device error", CKR_DEVICE_ERROR},         {"not initialized", CKR_CRYPTOKI_NOT_INITIALIZED},
    {"operation active", CKR_OPERATION_ACTIVE}, {"operation not initialized", CKR_OPERATION_NOT_INITIALIZED},
    {"login lost", CKR_USER_NOT_LOGGED_IN},     {"general error", CKR_GENERAL_ERROR},
    {"function failed", CKR_FUNCTION_FAILED},   {"vendor", CKR_VENDOR_DEFINED | 7UL},
    {"no session free", CKR_SESSION_COUNT},     {"no memory", CKR_DEVICE_MEMORY},
    {"buffer too small", CKR_BUFFER_TOO_SMALL},
};

class Faults : public HsmTest {
 protected:
  Faults() {
    sign_ = MakeEc("sign");
    decoy_ = MakeEc("decoy");
    open_ = MakeRsa("open", Usage::kDecrypt);
    aes_ = MakeAes("aes", AesMode::kGcm);
    sign_key_ = PublicHalf({"sign", sign_});
    WithKey({"open", open_}, [&](Session&, const TokenKey& key) {
      raw_ = key.RequirePublic().Encrypt(RsaPadding::kOaepSha256, kData);
      own_ = key.RequirePublic().Encrypt(RsaPadding::kOaepSha1, kData);
    });
    sealed_ = AesEncrypt({"aes", aes_}, AesMode::kGcm, kData);
  }

  struct Work {
    const char* name;
    std::function<void()> run;  // throws, or has checked its result
    std::vector<const char*> steps;
  };
  std::vector<Work> AllWork() {
    const std::vector<const char*> common = {"C_GetMechanismInfo", "C_OpenSession", "C_GetSessionInfo",
                                             "C_FindObjectsInit",  "C_FindObjects", "C_GetAttributeValue"};
    const auto with = [&](std::initializer_list<const char*> own) {
      std::vector<const char*> steps = common;
      steps.insert(steps.end(), own);
      return steps;
    };
    return {
        {"sign",
         [&] {
           const Octets signature = Sign({"sign", sign_}, kEcdsa, kData);
           EXPECT_TRUE(OpenSslVerifies(sign_key_.get(), kEcdsa, kData, signature)) << "by the right key";
         },
         with({"C_SignInit", "C_Sign"})},
        {"decrypt, raw in the token",
         [&] {
           EXPECT_EQ(RsaDecrypt({"open", open_}, RsaPadding::kOaepSha256, raw_), kData);
         },
         with({"C_DecryptInit", "C_Decrypt"})},
        {"decrypt, whole in the token",
         [&] {
           EXPECT_EQ(RsaDecrypt({"open", open_}, RsaPadding::kOaepSha1, own_), kData);
         },
         with({"C_DecryptInit", "C_Decrypt"})},
        {"AES open",
         [&] {
           EXPECT_EQ(AesDecrypt({"aes", aes_}, AesMode::kGcm, sealed_), kData);
         },
         with({"C_DecryptInit", "C_Decrypt"})},
        {"AES seal",
         [&] {
           const Octets value = AesEncrypt({"aes", aes_}, AesMode::kGcm, kData);
           EXPECT_EQ(AesDecrypt({"aes", aes_}, AesMode::kGcm, value), kData);
         },
         with({"C_EncryptInit", "C_Encrypt"})},
    };
  }

  Octets sign_, decoy_, open_, aes_, raw_, own_, sealed_;
  OpenSslKey sign_key_;
};

// One fault that passes: warm, with handles kept, and cold, when they must be found again.
TEST_F(Faults, ThatPassAreRecoveredFromOrToldOnce) {
  int recovered = 0, told = 0;
  for (const Work& work : AllWork())
    for (const char* step : work.steps)
      for (const Fault& fault : kFaults)
        for (const bool cold : {false, true}) {
          const std::string at =
              std::string(work.name) + ", " + step + ", " + fault.name + (cold ? ", cold" : ", warm");
          if (cold) connection_->Release();
          const int logins = script_->Calls("C_Login");
          script_->Answer(step, fault.rv);
          const auto error = ErrorOf(work.run);
          script_->Forget();
          if (error) {
            ++told;
            const ErrorCode code = error->code();
            EXPECT_TRUE(code == ErrorCode::kTokenUnreachable || code == ErrorCode::kTokenRefused ||
                        code == ErrorCode::kNotFound || code == ErrorCode::kAuthenticationFailed)
                << at << ": " << error->what();
            EXPECT_NE(error->what(), std::string()) << at;
          } else {
            ++recovered;
          }
          EXPECT_LE(script_->Calls("C_Login") - logins, 3) << at;
          EXPECT_FALSE(ErrorOf(work.run)) << at << ": well again";
        }
  EXPECT_GT(recovered, told) << "most of them are mended";
}

// What must be mended and what must be told, one by one.
TEST_F(Faults, AreMendedByTheTable) {
  const auto after = [&](const char* step, CK_RV rv, const std::function<void()>& run) {
    run();  // warm
    script_->Answer(step, rv);
    const auto error = ErrorOf(run);
    script_->Forget();
    return error ? std::optional(error->code()) : std::nullopt;
  };
  for (const Work& work : AllWork()) {
    const char* init = work.steps[work.steps.size() - 2];
    const char* last = work.steps.back();
    for (const char* step : {init, last})
      for (const CK_RV rv :
           {CKR_SESSION_CLOSED, CKR_SESSION_HANDLE_INVALID, CKR_OPERATION_ACTIVE, CKR_KEY_HANDLE_INVALID,
            CKR_OBJECT_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN, CKR_DEVICE_ERROR, CKR_DEVICE_REMOVED,
            CKR_TOKEN_NOT_PRESENT, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_SESSION_COUNT})
        EXPECT_EQ(after(step, rv, work.run), std::nullopt) << work.name << " " << step << " " << rv;
    EXPECT_EQ(after(last, CKR_BUFFER_TOO_SMALL, work.run), ErrorCode::kTokenRefused) << work.name;
    EXPECT_EQ(after(init, CKR_KEY_FUNCTION_NOT_PERMITTED, work.run), ErrorCode::kTokenRefused) << work.name;
    EXPECT_EQ(after(init, CKR_MECHANISM_INVALID, work.run), ErrorCode::kTokenRefused) << work.name;
  }
}

TEST_F(Faults, ThatStayAreToldAndEndTheCall) {
  for (const Work& work : AllWork())
    for (const char* step : {work.steps[work.steps.size() - 2], work.steps.back()})
      for (const Fault& fault : kFaults) {
        const std::string at = std::string(work.name) + ", " + step + ", " + fault.name;
        const int calls = script_->Calls(step);
        script_->Answer(step, fault.rv, 1, ScriptedToken::kForever);
        EXPECT_TRUE(ErrorOf(work.run)) << at;
        script_->Forget();
        EXPECT_LE(script_->Calls(step) - calls, 45) << at;
        EXPECT_FALSE(ErrorOf(work.run)) << at << ": well again";
      }
}

// Damaged input and a broken token look alike in SoftHSM: neither is tried twice while the token answers.
TEST_F(Faults, ADecryptionThatFailsIsNotTriedAgain) {
  for (const CK_RV rv : {CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_ENCRYPTED_DATA_INVALID, CKR_DATA_INVALID,
                         CKR_ENCRYPTED_DATA_LEN_RANGE}) {
    const int calls = script_->Calls("C_Decrypt");
    script_->Answer("C_Decrypt", rv);
    EXPECT_ERROR(kAuthenticationFailed, RsaDecrypt({"open", open_}, RsaPadding::kOaepSha256, raw_));
    EXPECT_EQ(script_->Calls("C_Decrypt"), calls + 1);
  }
}

TEST_F(Faults, ALockedPinIsNotSentASecondTime) {
  for (const Work& work : AllWork()) {
    work.run();
    const int logins = script_->Calls("C_Login");
    script_->Answer(work.steps.back(), CKR_USER_NOT_LOGGED_IN);
    script_->Answer("C_Login", CKR_PIN_LOCKED);
    const auto error = ErrorOf(work.run);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->code(), ErrorCode::kTokenRefused);
    EXPECT_EQ(script_->Calls("C_Login"), logins + 1);
    script_->Forget();
    EXPECT_ERROR(kTokenRefused, work.run());
    EXPECT_ERROR(kTokenRefused, work.run());
    EXPECT_EQ(script_->Calls("C_Login"), logins + 1) << "it is remembered";
    memo_->Clear();
    work.run();
  }
}

TEST_F(Faults, AWrongPinIsSentOnceByAllConnections) {
  SetPin("wrong-pin");
  connection_->Release();
  const int logins = script_->Calls("C_Login");
  for (int i = 0; i < 5; ++i) {
    EXPECT_ERROR(kTokenRefused, Sign({"sign", sign_}, kEcdsa, kData));
    connection_ = Connect();  // another backend
    keys_ = {};
  }
  EXPECT_EQ(script_->Calls("C_Login"), logins + 1);
  SetPin(kPin);
  Sign({"sign", sign_}, kEcdsa, kData);
}

// After a re-initialisation SoftHSM gives the handles anew: an old one names another key.
TEST_F(Faults, AHandleOfAnotherEpochIsNeverUsed) {
  for (int round = 0; round < 3; ++round) {
    script_->Answer("C_SignInit", CKR_DEVICE_ERROR);
    EXPECT_TRUE(OpenSslVerifies(sign_key_.get(), kEcdsa, kData, Sign({"sign", sign_}, kEcdsa, kData)));
    // In another order than before, so that handles differ.
    if (round % 2 == 0) Sign({"decoy", decoy_}, kEcdsa, kData);
    OnToken([&](Session& session) { hsm::ListObjects(session); });
  }
}

TEST_F(Faults, ATokenThatIsTakenAwayComesBack) {
  for (const Work& work : AllWork()) {
    work.run();
    HideTokens();
    const auto error = ErrorOf(work.run);
    ASSERT_TRUE(error) << work.name;
    EXPECT_EQ(error->code(), ErrorCode::kTokenUnreachable) << work.name << error->what();
    ShowTokens();
    EXPECT_FALSE(ErrorOf(work.run)) << work.name;
  }
}

}  // namespace
}  // namespace trustpoint::test
