// Trustpoint's fields and DEKs, from Python's vectors, on a real SoftHSM token.
#include "base/error.hpp"
#include "envelope/base64.hpp"
#include "keyring/dek.hpp"
#include "keyring/tpsec.hpp"
#include "keyring/tpsec_dek.hpp"
#include "pkcs11/foreign_key.hpp"
#include "unit/keyring_fixture.hpp"
#include "unit/pkcs11_fixture.hpp"

namespace trustpoint::test {
namespace {

using envelope::Purpose;
using envelope::TpsecField;
using envelope::TpsecForm;
using keyring::Dek;
using keyring::TpsecCipher;
using pkcs11::Session;
using pkcs11::Template;

std::vector<Record> Vectors(const std::string& kind) {
  std::vector<Record> chosen;
  for (const Record& record : ReadVectors(TRUSTPOINT_OWN_VECTORS, "kind"))
    if (record.Text("kind") == kind) chosen.push_back(record);
  EXPECT_FALSE(chosen.empty());
  return chosen;
}

// A decoded field and its bytes.
struct Decoded {
  Buffer payload;
  TpsecField field;
};

Decoded Decode(const Record& record) {
  const Buffer text = record.Bytes("field");
  const auto parsed = envelope::ParseTpsecText(base::AsText(text));
  Decoded decoded{Buffer(parsed->payload_size), {}};
  EXPECT_TRUE(envelope::ReadBase64(parsed->base64, decoded.payload));
  decoded.field = envelope::SplitTpsec(parsed->form, decoded.payload);
  return decoded;
}

TEST(Tpsec, OpensTheFieldsOfBothForms) {
  TpsecCipher cipher;
  for (const Record& record : Vectors("tpsec_field")) {
    const Decoded decoded = Decode(record);
    const Dek dek(Purpose::kTpsec, record.Bytes("dek"));
    Buffer plaintext(decoded.field.ciphertext.size());
    ASSERT_TRUE(cipher.Open(dek, decoded.field, plaintext));
    EXPECT_EQ(ToHex(plaintext), record.Text("padded"));
    EXPECT_TRUE(keyring::OpensField(record.Bytes("dek"), decoded.field, plaintext));
    EXPECT_EQ(plaintext, Buffer(plaintext.size())) << "the scratch is wiped";
  }
}

TEST(Tpsec, OpensNothingElse) {
  TpsecCipher cipher;
  for (const Record& record : Vectors("tpsec_field")) {
    Decoded decoded = Decode(record);
    const Dek dek(Purpose::kTpsec, record.Bytes("dek"));
    Buffer plaintext(decoded.field.ciphertext.size(), 'x');
    for (const std::size_t at : {std::size_t{0}, std::size_t{12}, decoded.payload.size() - 1}) {
      decoded.payload[at] ^= 1;
      EXPECT_FALSE(cipher.Open(dek, decoded.field, plaintext)) << at;
      EXPECT_EQ(plaintext, Buffer(plaintext.size()));
      decoded.payload[at] ^= 1;
    }
    TpsecField other = decoded.field;
    other.form = other.form == TpsecForm::kToday ? TpsecForm::kBefore : TpsecForm::kToday;
    EXPECT_FALSE(cipher.Open(dek, other, plaintext)) << "the forms do not stand for each other";
    EXPECT_FALSE(cipher.Open(Dek(Purpose::kTpsec, Buffer(32, 9)), decoded.field, plaintext));
    EXPECT_TRUE(cipher.Open(dek, decoded.field, plaintext)) << "and goes on";
  }
}

TEST(Tpsec, AFieldIsSealedInTodaysFormWithANonceOfItsOwn) {
  TpsecCipher cipher;
  const Dek dek(Purpose::kTpsec, Buffer(32, 7));
  std::string last;
  for (int i = 0; i < 100; ++i) {
    Buffer payload(envelope::kTpsecOverhead + 6), plaintext(6);
    cipher.Seal(dek, base::AsBytes("secret"), payload);
    const TpsecField field = envelope::SplitTpsec(TpsecForm::kToday, payload);
    EXPECT_NE(ToHex(field.nonce), last);
    last = ToHex(field.nonce);
    ASSERT_TRUE(cipher.Open(dek, field, plaintext));
    EXPECT_EQ(base::AsText(plaintext), "secret");
    if (i == 50) cipher.EndTransaction();
  }
}

TEST(Tpsec, AFieldThatOpensWithoutItsPaddingIsNoSample) {
  // Sealed without an AAD, as the form before, but not padded.
  const Buffer key(32, 7), nonce(12, 1);
  Buffer payload(envelope::kTpsecOverhead + 6), scratch(6);
  const envelope::TpsecSlots slots = envelope::LayTpsec(payload);
  crypto::GcmSealer gcm;
  gcm.SetKey(key);
  base::Copy(slots.nonce, nonce);
  gcm.Seal(nonce, {}, {}, base::AsBytes("secret"), slots.ciphertext, slots.tag);
  EXPECT_FALSE(keyring::OpensField(key, envelope::SplitTpsec(TpsecForm::kBefore, payload), scratch));
}

class TpsecToken : public TokenTest {
 protected:
  TpsecToken() : connection_(Connect()) {}

  template <class Operation>
  void OnToken(Operation&& operation) {
    Run(*connection_, pkcs11::Level::kLogin, operation);
  }

  void Import(const char* label, base::Bytes key, base::Bytes id = Buffer{1},
              std::initializer_list<CK_ATTRIBUTE_TYPE> uses = {CKA_UNWRAP, CKA_DECRYPT}) {
    OnToken([&](Session& session) {
      Template attributes;
      attributes.Add(CKA_CLASS, CK_ULONG{CKO_SECRET_KEY}).Add(CKA_KEY_TYPE, CK_ULONG{CKK_AES});
      attributes.Add(CKA_ID, id).Add(CKA_LABEL, label).AddSecret(CKA_VALUE, key);
      attributes.Add(CKA_TOKEN, true).Add(CKA_PRIVATE, true);
      for (const CK_ATTRIBUTE_TYPE use : {CKA_WRAP, CKA_UNWRAP, CKA_ENCRYPT, CKA_DECRYPT})
        attributes.Add(use, std::find(uses.begin(), uses.end(), use) != uses.end());
      CK_OBJECT_HANDLE handle;
      session.Check(
          session.api()->C_CreateObject(session.handle(), attributes.data(), attributes.size(), &handle),
          "C_CreateObject");
    });
  }

  std::string Opened(base::Bytes wrapped, const char* label = "kek") {
    std::string hex;
    OnToken([&](Session& session) {
      hex = ToHex(keyring::OpenTpsecDek(session, label, *envelope::ParseTpsecDek(wrapped)).view());
    });
    return hex;
  }

  std::unique_ptr<pkcs11::Connection> connection_;
};

TEST_F(TpsecToken, OpensADekInEveryForm) {
  for (const Record& record : Vectors("tpsec_dek")) {
    if (record.Text("form") == Vectors("tpsec_dek")[0].Text("form")) Import("kek", record.Bytes("kek"));
    EXPECT_EQ(Opened(record.Bytes("wrapped")), record.Text("dek")) << record.Text("form");
  }
}

TEST_F(TpsecToken, NothingOfItStaysInTheToken) {
  Import("kek", Vectors("tpsec_dek")[0].Bytes("kek"));
  for (const Record& record : Vectors("tpsec_dek")) (void)Opened(record.Bytes("wrapped"));
  OnToken([](Session& session) {
    Template any;
    EXPECT_EQ(pkcs11::Find(session, any, 10).size(), 1U) << "only the KEK";
  });
}

TEST_F(TpsecToken, WhatCWrapKeyGaveProvesItself) {
  Import("kek", Vectors("tpsec_dek")[0].Bytes("kek"));
  Import("other", Buffer(32, 3), Buffer{2});
  for (const Record& record : Vectors("tpsec_dek")) {
    const Buffer wrapped = record.Bytes("wrapped");
    if (!envelope::ProvesItself(envelope::ParseTpsecDek(wrapped)->wrap)) continue;
    EXPECT_ERROR(kAuthenticationFailed, Opened(wrapped, "other"));
    for (std::size_t at = wrapped.size() - 40; at < wrapped.size(); ++at) {
      Buffer damaged = wrapped;
      damaged[at] ^= 1;
      EXPECT_ERROR(kAuthenticationFailed, Opened(damaged));
    }
    EXPECT_EQ(Opened(wrapped), record.Text("dek")) << "the session stays good";
  }
}

TEST_F(TpsecToken, TheOtherFormsGiveAnotherKeyUnderAnotherKek) {
  Import("other", Buffer(32, 3));
  for (const Record& record : Vectors("tpsec_dek")) {
    const Buffer wrapped = record.Bytes("wrapped");
    const envelope::TpsecWrap wrap = envelope::ParseTpsecDek(wrapped)->wrap;
    if (wrap == envelope::TpsecWrap::kEcb || wrap == envelope::TpsecWrap::kCbc) {
      EXPECT_NE(Opened(wrapped, "other"), record.Text("dek"));
    } else {
      EXPECT_ERROR(kAuthenticationFailed, Opened(wrapped, "other"));
    }
  }
}

TEST_F(TpsecToken, AModuleThatKnowsRfc3394AloneOpensThePkcs7KindToo) {
  Import("kek", Vectors("tpsec_dek")[0].Bytes("kek"));
  for (const Record& record : Vectors("tpsec_dek")) {
    const Buffer wrapped = record.Bytes("wrapped");
    if (!envelope::ProvesItself(envelope::ParseTpsecDek(wrapped)->wrap)) continue;
    script_->Answer("C_GetMechanismInfo", CKR_MECHANISM_INVALID, 2,
                    3);  // all but the first that is asked for
    if (base::AsText(record.Bytes("form")) == "rfc5649") {
      EXPECT_ERROR(kAuthenticationFailed, Opened(wrapped));
    } else {
      EXPECT_EQ(Opened(wrapped), record.Text("dek"));
    }
    script_->Forget();
  }
}

TEST_F(TpsecToken, AKekIsFoundExactlyOnceAndIsNotOurs) {
  const Buffer wrapped = Vectors("tpsec_dek")[0].Bytes("wrapped");
  EXPECT_ERROR(kNotFound, Opened(wrapped));
  Buffer ours(16, 5);
  base::Copy(ours, envelope::kKekIdPrefix);
  Import("kek", Buffer(32, 3), ours);
  EXPECT_ERROR(kInvalidArgument, Opened(wrapped));
  Import("kek", Buffer(32, 4));
  EXPECT_ERROR(kExists, Opened(wrapped));
}

TEST_F(TpsecToken, AKekThatMayNotDecryptIsTheTokensRefusal) {
  Import("kek", Vectors("tpsec_dek")[0].Bytes("kek"), Buffer{1}, {CKA_UNWRAP});
  EXPECT_ERROR(kTokenRefused, Opened(Vectors("tpsec_dek")[0].Bytes("wrapped")));
}

TEST_F(TpsecToken, AnAdoptedDekIsTheSameAndKnownByItsRow) {
  OnToken([&](Session& session) {
    const keyring::KekRow kek_row =
        keyring::FindOrCreateKek(session, "trustpoint-pg-kek", connection_->token().serial);
    keyring::Kek kek(session, kek_row);
    keyring::DekRow row = MakeRow(9, "default", Purpose::kTpsec);
    const Buffer key(32, 7);
    keyring::WrapDek(kek, key, &row);
    EXPECT_EQ(ToHex(keyring::OpenDek(kek, row).tpsec_key()), ToHex(key));
    EXPECT_TRUE(keyring::IsDekOf(row, key));
    EXPECT_FALSE(keyring::IsDekOf(row, Buffer(32, 8)));
  });
}

}  // namespace
}  // namespace trustpoint::test
