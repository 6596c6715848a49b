// KEKs and DEKs on a real SoftHSM token, in a folder of the test's own.
#include <set>

#include "base/error.hpp"
#include "keyring/dek.hpp"
#include "keyring/kek.hpp"
#include "keyring/opener.hpp"
#include "keyring/sealer.hpp"
#include "unit/keyring_fixture.hpp"
#include "unit/pkcs11_fixture.hpp"

namespace trustpoint::test {
namespace {

using keyring::Dek;
using keyring::DekRow;
using keyring::Kek;
using keyring::KekRow;
using keyring::KekUse;
using pkcs11::Level;
using pkcs11::Session;
using pkcs11::Template;

constexpr const char* kKekLabel = "trustpoint-pg-kek";

class KeyringToken : public TokenTest {
 protected:
  KeyringToken() : connection_(Connect()) {}

  template <class Operation>
  void OnToken(Operation&& operation) {
    Run(*connection_, Level::kLogin, operation);
  }

  KekRow SetUp(const char* label = kKekLabel) {
    KekRow kek{};
    OnToken([&](Session& session) {
      kek = keyring::FindOrCreateKek(session, label, connection_->token().serial);
    });
    return kek;
  }

  DekRow NewDek(const KekRow& kek_row, std::uint32_t id = 7, const char* name = "tenant") {
    DekRow row = MakeRow(id, name);
    OnToken([&](Session& session) {
      Kek kek(session, kek_row);
      keyring::MakeDek(session, kek, &row);
    });
    return row;
  }

  Dek Open(const KekRow& kek_row, const DekRow& row) {
    std::optional<Dek> dek;
    OnToken([&](Session& session) {
      Kek kek(session, kek_row);
      dek.emplace(keyring::OpenDek(kek, row));
    });
    return std::move(*dek);
  }

  // Imports an AES key as a KEK that was made by other means.
  void Import(const KekRow& row, base::Bytes key, const std::function<void(Template&)>& change = {}) {
    OnToken([&](Session& session) {
      Template attributes;
      attributes.Add(CKA_CLASS, CK_ULONG{CKO_SECRET_KEY}).Add(CKA_KEY_TYPE, CK_ULONG{CKK_AES});
      attributes.Add(CKA_ID, row.id).Add(CKA_LABEL, row.label).AddSecret(CKA_VALUE, key);
      const bool wraps = row.use == KekUse::kWrap;
      for (const CK_ATTRIBUTE_TYPE yes : {CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE}) attributes.Add(yes, true);
      for (const CK_ATTRIBUTE_TYPE no :
           {CKA_EXTRACTABLE, CKA_MODIFIABLE, CKA_COPYABLE, CKA_SIGN, CKA_VERIFY, CKA_DERIVE})
        attributes.Add(no, false);
      for (const CK_ATTRIBUTE_TYPE use : {CKA_WRAP, CKA_UNWRAP}) attributes.Add(use, wraps);
      for (const CK_ATTRIBUTE_TYPE use : {CKA_ENCRYPT, CKA_DECRYPT}) attributes.Add(use, !wraps);
      if (change) change(attributes);
      CK_OBJECT_HANDLE handle;
      session.Check(
          session.api()->C_CreateObject(session.handle(), attributes.data(), attributes.size(), &handle),
          "C_CreateObject");
    });
  }

  void DestroyAll(const char* label = kKekLabel) {
    OnToken([&](Session& session) {
      Template search;
      search.Add(CKA_LABEL, label);
      for (const CK_OBJECT_HANDLE handle : pkcs11::Find(session, search, 8)) pkcs11::Destroy(session, handle);
    });
  }

  std::size_t Count(const char* label = kKekLabel) {
    std::size_t count = 0;
    OnToken([&](Session& session) {
      Template search;
      search.Add(CKA_LABEL, label);
      count = pkcs11::Find(session, search, 8).size();
    });
    return count;
  }

  // A row of a KEK with this key, as FindOrCreateKek would have described it.
  KekRow Described(KekUse use) {
    KekRow row{};
    base::Copy(row.id, envelope::kKekIdPrefix);
    row.id[15] = static_cast<std::uint8_t>(use) + 1;
    std::strcpy(row.label, kKekLabel);
    row.use = use;
    Import(row, FromHex(kKekHex));
    OnToken([&](Session& session) {
      row = keyring::FindOrCreateKek(session, kKekLabel, connection_->token().serial);
    });
    return row;
  }

  static constexpr const char* kKekHex = "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf";
  std::unique_ptr<pkcs11::Connection> connection_;
};

TEST_F(KeyringToken, TheFirstCallMakesAKekAndTheNextFindsIt) {
  const KekRow first = SetUp(), second = SetUp();
  EXPECT_EQ(first.id, second.id);
  EXPECT_EQ(first.probe, second.probe);
  EXPECT_EQ(Count(), 1u);
  EXPECT_TRUE(std::equal(envelope::kKekIdPrefix.begin(), envelope::kKekIdPrefix.end(), first.id.begin()));
  EXPECT_STREQ(first.label, kKekLabel);
  EXPECT_EQ(first.token_serial, connection_->token().serial);
  EXPECT_EQ(first.use, KekUse::kWrap);
}

TEST_F(KeyringToken, AKekIsWhatTheDesignDemands) {
  const KekRow row = SetUp();
  OnToken([&](Session& session) {
    Template search;
    search.Add(CKA_ID, row.id);
    const CK_OBJECT_HANDLE kek = pkcs11::FindOne(session, search, "the KEK");
    for (const CK_ATTRIBUTE_TYPE yes : {CKA_TOKEN, CKA_PRIVATE, CKA_SENSITIVE, CKA_WRAP, CKA_UNWRAP})
      EXPECT_EQ(pkcs11::ReadBool(session, kek, yes), true) << yes;
    for (const CK_ATTRIBUTE_TYPE no : {CKA_EXTRACTABLE, CKA_MODIFIABLE, CKA_COPYABLE, CKA_ENCRYPT,
                                       CKA_DECRYPT, CKA_SIGN, CKA_VERIFY, CKA_DERIVE})
      EXPECT_EQ(pkcs11::ReadBool(session, kek, no), false) << no;
    EXPECT_EQ(pkcs11::ReadUlong(session, kek, CKA_VALUE_LEN), 32u);
    EXPECT_FALSE(pkcs11::ReadBytes(session, kek, CKA_VALUE)) << "the token gives its value to nobody";
  });
}

TEST_F(KeyringToken, TwoLabelsAreTwoKeks) { EXPECT_NE(SetUp("one").id, SetUp("two").id); }

TEST_F(KeyringToken, ALabelHasOneToThirtyTwoBytes) {
  EXPECT_ERROR(kInvalidArgument, SetUp(""));
  EXPECT_ERROR(kInvalidArgument, SetUp("a label of more than thirty-two b"));
  SetUp("a label of exactly thirty-two by");
}

TEST_F(KeyringToken, ALabelThatSomebodyElsesKeyHasIsRefusedAndLeftAlone) {
  KekRow foreign{};
  std::strcpy(foreign.label, kKekLabel);
  foreign.id.fill(0x42);
  Import(foreign, FromHex(kKekHex));
  EXPECT_ERROR(kExists, SetUp());
  EXPECT_EQ(Count(), 1u);
}

TEST_F(KeyringToken, ADekOpensToTheKeysItWasMadeWith) {
  const KekRow kek = SetUp();
  const DekRow row = NewDek(kek);
  EXPECT_EQ(row.kek_id, kek.id);
  const Dek first = Open(kek, row), second = Open(kek, row);
  EXPECT_EQ(ToHex(first.xaes_key()), ToHex(second.xaes_key()));
  EXPECT_EQ(ToHex(first.gcm_key()), ToHex(second.gcm_key()));
  const auto stored = [&] {
    keyring::Sealer sealer;
    Buffer value(envelope::Overhead(envelope::Suite::kXaes256Gcm) + 6);
    sealer.Seal(first, envelope::Suite::kXaes256Gcm, row.id, {}, base::AsBytes("secret"), value);
    return value;
  }();
  keyring::Opener opener;
  Buffer plaintext(6);
  EXPECT_TRUE(opener.Open(second, *envelope::Parse(stored), {}, plaintext));
  EXPECT_EQ(base::AsText(plaintext), "secret");
}

TEST_F(KeyringToken, NoTwoDeksAreAlike) {
  const KekRow kek = SetUp();
  std::set<std::string> wrapped, keys;
  for (int i = 0; i < 5; ++i) {
    const DekRow row = NewDek(kek);
    wrapped.insert(ToHex(row.wrapped));
    keys.insert(ToHex(Open(kek, row).xaes_key()));
  }
  EXPECT_EQ(wrapped.size(), 5u);
  EXPECT_EQ(keys.size(), 5u);
}

TEST_F(KeyringToken, TheTokensRandomnessIsPartOfADek) {
  const KekRow kek = SetUp();
  const ScriptedRandom stuck([](base::MutableBytes out) { std::fill(out.begin(), out.end(), 0); });
  EXPECT_NE(ToHex(NewDek(kek).check_value), ToHex(NewDek(kek).check_value));
}

TEST_F(KeyringToken, ATokenWithoutAGeneratorIsNoHindrance) {
  const KekRow kek = SetUp();
  script_->Answer("C_GenerateRandom", CKR_RANDOM_NO_RNG, 1, ScriptedToken::kForever);
  const DekRow first = NewDek(kek), second = NewDek(kek);
  EXPECT_NE(first.check_value, second.check_value);
  EXPECT_NO_THROW(Open(kek, first));
}

TEST_F(KeyringToken, BothUsesOfAKekGiveTheSameBytes) {
  // The payload of the vectors: a KEK that wraps and one that encrypts, both with the key of the vectors.
  for (const Record& record : ReadVectors(TRUSTPOINT_OWN_VECTORS, "kind")) {
    if (record.Text("kind") != "wrap") continue;
    ASSERT_EQ(record.Text("kek"), kKekHex);
    Buffer payload = record.Bytes("dek");
    const Buffer m = record.Bytes("m");
    payload.insert(payload.end(), m.begin(), m.end());
    for (const KekUse use : {KekUse::kWrap, KekUse::kEncrypt}) {
      const KekRow row = Described(use);
      EXPECT_EQ(row.use, use);
      OnToken([&](Session& session) {
        Kek kek(session, row);
        EXPECT_EQ(ToHex(kek.Wrap(payload)), record.Text("wrapped"));
        EXPECT_EQ(ToHex(kek.Unwrap(record.Bytes("wrapped")).view()), ToHex(payload));
      });
      DestroyAll();
    }
  }
}

TEST_F(KeyringToken, ADekOfAKekThatEncryptsOpensToo) {
  const KekRow kek = Described(KekUse::kEncrypt);
  EXPECT_NO_THROW(Open(kek, NewDek(kek)));
}

TEST_F(KeyringToken, AWeakKekIsRefusedForEachWeakness) {
  struct Weakness {
    CK_ATTRIBUTE_TYPE type;
    bool value;
    const char* words;
  };
  const KekRow good = SetUp();
  DestroyAll();
  for (const Weakness& weakness :
       {Weakness{CKA_EXTRACTABLE, true, "CKA_EXTRACTABLE is true"},
        Weakness{CKA_MODIFIABLE, true, "CKA_MODIFIABLE is true"},
        Weakness{CKA_COPYABLE, true, "CKA_COPYABLE is true"},
        Weakness{CKA_SENSITIVE, false, "CKA_SENSITIVE is false"},
        Weakness{CKA_PRIVATE, false, "CKA_PRIVATE is false"}, Weakness{CKA_SIGN, true, "CKA_SIGN is true"},
        Weakness{CKA_ENCRYPT, true, "CKA_ENCRYPT is true"},
        Weakness{CKA_DECRYPT, true, "CKA_DECRYPT is true"}, Weakness{CKA_DERIVE, true, "CKA_DERIVE is true"},
        Weakness{CKA_UNWRAP, false, "CKA_UNWRAP is false"}}) {
    Import(good, FromHex(kKekHex), [&](Template& attributes) {
      attributes.Remove(weakness.type);
      attributes.Add(weakness.type, weakness.value);
    });
    const auto raised = ErrorOf([&] { OnToken([&](Session& session) { Kek(session, good); }); });
    ASSERT_TRUE(raised) << weakness.words;
    EXPECT_EQ(raised->code(), base::ErrorCode::kWrongKek) << raised->what();
    EXPECT_NE(std::string(raised->failure().detail).find(weakness.words), std::string::npos)
        << raised->failure().detail;
    // Nor is it taken for a KEK of another database.
    const auto adopted = ErrorOf([&] { SetUp(); });
    ASSERT_TRUE(adopted) << weakness.words;
    EXPECT_EQ(adopted->code(), base::ErrorCode::kWrongKek) << weakness.words;
    DestroyAll();
  }
}

TEST_F(KeyringToken, ANewKekThatComesOutWeakIsDestroyed) {
  // The token makes a key, but then shows no attribute that makes it a KEK.
  SetUp("another");
  int asked = 0;
  script_->Before("C_GenerateKey", [&] {
    ++asked;
    script_->Answer("C_GetAttributeValue", CKR_ATTRIBUTE_TYPE_INVALID, 1, ScriptedToken::kForever);
  });
  EXPECT_ERROR(kWrongKek, SetUp());
  EXPECT_EQ(asked, 1);
  script_->Forget();
  EXPECT_EQ(Count(), 0u);
}

TEST_F(KeyringToken, ASecondKeyWithTheLabelOrTheIdIsNeverChosenFrom) {
  const KekRow kek = SetUp();
  const DekRow row = NewDek(kek);
  KekRow twin = kek;
  twin.id.fill(0x42);
  Import(twin, FromHex(kKekHex));  // the same label
  EXPECT_ERROR(kExists, Open(kek, row));
  EXPECT_ERROR(kExists, SetUp());
  OnToken([&](Session& session) {
    Template search;
    search.Add(CKA_ID, twin.id);
    pkcs11::Destroy(session, pkcs11::FindOne(session, search, "the twin"));
  });
  twin = kek;
  std::strcpy(twin.label, "another label");
  Import(twin, FromHex(kKekHex));  // the same id
  EXPECT_ERROR(kExists, Open(kek, row));
  DestroyAll("another label");
  EXPECT_NO_THROW(Open(kek, row));
}

TEST_F(KeyringToken, AKekThatIsNotThereIsNotFound) {
  const KekRow kek = SetUp();
  const DekRow row = NewDek(kek);
  KekRow other = kek;
  other.id[15] ^= 1;  // the label is there, the id is not
  EXPECT_ERROR(kNotFound, Open(other, row));
  DestroyAll();
  EXPECT_ERROR(kNotFound, Open(kek, row));
}

TEST_F(KeyringToken, AnotherKeyUnderTheIdAndLabelOfTheKekIsNotTheKek) {
  const KekRow kek = SetUp();
  const DekRow row = NewDek(kek);
  DestroyAll();
  Import(kek, FromHex(kKekHex));
  EXPECT_ERROR(kWrongKek, Open(kek, row));
}

TEST_F(KeyringToken, ADamagedProbeIsNotTakenForADamagedDek) {
  KekRow kek = SetUp();
  const DekRow row = NewDek(kek);
  kek.probe[20] ^= 1;
  EXPECT_ERROR(kWrongKek, Open(kek, row));
}

TEST_F(KeyringToken, DamagedBytesBytesOfAnotherRowAndAWrongCheckValueAreThreeErrors) {
  const KekRow kek = SetUp();
  const DekRow row = NewDek(kek), other = NewDek(kek, 8, "other");
  std::set<std::string> messages;
  const auto refuse = [&](const DekRow& bad) {
    const auto raised = ErrorOf([&] { Open(kek, bad); });
    ASSERT_TRUE(raised);
    EXPECT_EQ(raised->code(), base::ErrorCode::kDamagedKey);
    messages.insert(raised->what());
  };
  DekRow bad = row;
  bad.wrapped[0] ^= 1;
  refuse(bad);
  bad = row;
  bad.wrapped[71] ^= 1;
  refuse(bad);
  EXPECT_EQ(messages.size(), 1u);
  bad = row;  // moved with its check value
  bad.wrapped = other.wrapped;
  bad.check_value = other.check_value;
  refuse(bad);
  EXPECT_EQ(messages.size(), 2u);
  bad = row;
  bad.check_value = other.check_value;
  refuse(bad);
  EXPECT_EQ(messages.size(), 3u);
}

TEST_F(KeyringToken, ARowThatWasRenamedRenumberedOrGivenAnotherPurposeDoesNotOpen) {
  const KekRow kek = SetUp();
  const DekRow row = NewDek(kek);
  DekRow bad = row;
  bad.id = 8;
  EXPECT_ERROR(kDamagedKey, Open(kek, bad));
  bad = row;
  bad.name[0] = 'T';
  EXPECT_ERROR(kDamagedKey, Open(kek, bad));
  bad = row;
  bad.purpose = envelope::Purpose::kTpsec;  // would hand the raw DEK out
  EXPECT_ERROR(kDamagedKey, Open(kek, bad));
  bad = row;
  bad.kek_id[15] ^= 1;
  EXPECT_ERROR(kDamagedKey, Open(kek, bad));
  bad = row;
  bad.state = keyring::DekState::kRetired;
  EXPECT_NO_THROW(Open(kek, bad));
}

TEST_F(KeyringToken, SoftHsmKnowsEveryAttributeThatTheDesignDemands) {
  const KekRow kek = SetUp();
  OnToken([&](Session& session) { EXPECT_EQ(Kek(session, kek).unknown_attributes(), ""); });
}

TEST_F(KeyringToken, UnwrappingLeavesNoObjectInTheToken) {
  const KekRow kek = SetUp();
  const DekRow row = NewDek(kek);
  for (int i = 0; i < 3; ++i) Open(kek, row);
  OnToken([&](Session& session) {
    Template all;
    all.Add(CKA_CLASS, CK_ULONG{CKO_SECRET_KEY});
    EXPECT_EQ(pkcs11::Find(session, all, 8).size(), 1u) << "the KEK alone";
  });
}

}  // namespace
}  // namespace trustpoint::test
