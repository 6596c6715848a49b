// Finding, listing, renaming and destroying keys, and what keeps the keyring's keys out of reach.
#include <set>

#include "unit/hsm_fixture.hpp"

namespace trustpoint::test {
namespace {

using pkcs11::Template;

const crypto::SignatureAlgorithm kEcdsa{crypto::Scheme::kEcdsa, crypto::Hash::kSha256};
const Octets kData = Bytes("data");

class TokenObjects : public HsmTest {
 protected:
  static Octets KekId() { return Bytes(std::string_view("tpkek\0ffffffffff", 16)); }
  // An AES key as other programs make it.
  void CreateAes(std::string_view label, base::Bytes id) {
    OnToken([&](Session& session) {
      Template attributes;
      attributes.Add(CKA_CLASS, CK_ULONG{CKO_SECRET_KEY}).Add(CKA_KEY_TYPE, CK_ULONG{CKK_AES});
      attributes.Add(CKA_LABEL, label).Add(CKA_ID, id).Add(CKA_TOKEN, true).Add(CKA_VALUE, Octets(32, 1));
      CK_OBJECT_HANDLE handle;
      session.Check(
          session.api()->C_CreateObject(session.handle(), attributes.data(), attributes.size(), &handle),
          "C_CreateObject");
    });
  }
  // Certificates, of which a key may have any number.
  void CreateCertificates(int count, std::string_view label, base::Bytes id) {
    OnToken([&](Session& session) {
      Template attributes;
      attributes.Add(CKA_CLASS, CK_ULONG{CKO_CERTIFICATE}).Add(CKA_CERTIFICATE_TYPE, CK_ULONG{CKC_X_509});
      attributes.Add(CKA_LABEL, label).Add(CKA_ID, id).Add(CKA_TOKEN, true);
      attributes.Add(CKA_SUBJECT, "subject").Add(CKA_VALUE, "certificate");
      CK_OBJECT_HANDLE handle;
      for (int i = 0; i < count; ++i)
        session.Check(
            session.api()->C_CreateObject(session.handle(), attributes.data(), attributes.size(), &handle),
            "C_CreateObject");
    });
  }
  // Changes what has the id, behind our back.
  void Change(base::Bytes id, CK_ATTRIBUTE_TYPE type, base::Bytes value) {
    OnToken([&](Session& session) {
      Template search, change;
      search.Add(CKA_ID, id);
      change.Add(type, value);
      for (const CK_OBJECT_HANDLE object : pkcs11::Find(session, search, 8))
        session.Check(session.api()->C_SetAttributeValue(session.handle(), object, change.data(), 1),
                      "C_SetAttributeValue");
    });
  }
  void Relabel(base::Bytes id, std::string_view label) { Change(id, CKA_LABEL, base::AsBytes(label)); }
  Octets IdOf(std::string_view label) {
    Octets id;
    WithKey({label, {}}, [&](Session&, const TokenKey& key) { id = key.id; });
    return id;
  }
  void Rename(std::string_view label, std::string_view new_label) {
    WithKey({label, {}},
            [&](Session& session, const TokenKey& key) { hsm::RenameKey(session, key, new_label); });
    keys_.Forget();
  }
  std::size_t DestroyId(base::Bytes id) {
    std::size_t count = 0;
    OnToken([&](Session& session) { count = hsm::DestroyKey(session, id); });
    keys_.Forget();
    return count;
  }
  int Searches() const { return script_->Calls("C_FindObjectsInit"); }
};

TEST_F(TokenObjects, AreFoundByLabelAndById) {
  const Octets one = MakeEc("one"), two = MakeEc("two");
  EXPECT_EQ(IdOf("one"), one);
  WithKey({"whatever", two}, [&](Session&, const TokenKey& key) { EXPECT_EQ(key.label, "two"); });
  EXPECT_ERROR(kNotFound, IdOf("three"));
  EXPECT_ERROR(kNotFound, WithKey({"one", NewId()}, [](Session&, const TokenKey&) {}));
}

TEST_F(TokenObjects, TwoThatMatchAreNeverAGuess) {
  const Octets one = MakeEc("twin"), two = MakeEc("other");
  Relabel(two, "twin");
  EXPECT_ERROR(kExists, IdOf("twin"));
  WithKey({"twin", one},
          [&](Session&, const TokenKey& key) { EXPECT_EQ(key.id, one) << "its id tells it apart"; });
  CreateAes("mixed", NewId());
  const Octets mixed = MakeEc("mixed too");
  Relabel(mixed, "mixed");
  EXPECT_ERROR(kExists, IdOf("mixed"));
}

TEST_F(TokenObjects, APublicHalfOfAnotherKeyIsNoPair) {
  const Octets one = MakeEc("pair");
  const Octets two = MakeEc("lone");
  OnToken([&](Session& session) {
    Template search;
    search.Add(CKA_CLASS, CK_ULONG{CKO_PRIVATE_KEY}).Add(CKA_ID, two);
    pkcs11::Destroy(session, pkcs11::FindOne(session, search, "key"));
    Template own;
    own.Add(CKA_CLASS, CK_ULONG{CKO_PUBLIC_KEY}).Add(CKA_ID, one);
    pkcs11::Destroy(session, pkcs11::FindOne(session, own, "key"));
  });
  WithKey({"lone", {}}, [&](Session& session, const TokenKey& key) {
    EXPECT_EQ(key.secret, CK_INVALID_HANDLE) << "verifies, and does not sign";
    EXPECT_NE(key.public_key(), nullptr);
    Octets out(hsm::kMaxSignatureSize);
    EXPECT_ERROR(kInvalidArgument, hsm::Sign(session, key, kEcdsa, crypto::HashOf(kEcdsa.hash, kData), out));
  });
  Relabel(two, "pair");
  EXPECT_ERROR(kExists, IdOf("pair"));
}

TEST_F(TokenObjects, APrivateKeyWithoutItsPublicHalfStillSigns) {
  for (const bool rsa : {true, false}) {
    const std::string label = rsa ? "rsa" : "ec";
    const Octets id = rsa ? MakeRsa(label) : MakeEc(label);
    OnToken([&](Session& session) {
      Template search;
      search.Add(CKA_CLASS, CK_ULONG{CKO_PUBLIC_KEY}).Add(CKA_ID, id);
      pkcs11::Destroy(session, pkcs11::FindOne(session, search, "key"));
    });
    WithKey({label, {}}, [&](Session& session, const TokenKey& key) {
      Octets out(hsm::kMaxSignatureSize);
      const auto algorithm = hsm::ChooseAlgorithm(key, std::nullopt);
      EXPECT_GT(hsm::Sign(session, key, algorithm, crypto::HashOf(algorithm.hash, kData), out), 0U);
      if (rsa)
        EXPECT_EQ(key.RequirePublic().bits(), 2048U) << "from the private half's own numbers";
      else
        EXPECT_ERROR(kNotFound, key.RequirePublic());
    });
  }
}

TEST_F(TokenObjects, AreSearchedOnceAndForgottenWithTheEpoch) {
  const Octets id = MakeEc("key");
  Sign({"key", id}, kEcdsa, kData);
  int before = Searches();
  for (int i = 0; i < 10; ++i) Sign({"key", id}, kEcdsa, kData);
  EXPECT_EQ(Searches(), before) << "by id";
  Sign({"key", {}}, kEcdsa, kData);
  before = Searches();
  for (int i = 0; i < 10; ++i) Sign({"key", {}}, kEcdsa, kData);
  EXPECT_EQ(Searches(), before) << "by label";
  connection_->Release();
  Sign({"key", id}, kEcdsa, kData);
  EXPECT_GT(Searches(), before);
}

TEST_F(TokenObjects, ALabelThatAnotherProcessGaveAwayNamesTheNewOwner) {
  const Octets one = MakeEc("name");
  EXPECT_EQ(IdOf("name"), one);
  const Octets two = MakeEc("other");
  Relabel(one, "old");
  Relabel(two, "name");
  EXPECT_EQ(IdOf("name"), two);
}

TEST_F(TokenObjects, ADestroyedKeyIsNotFoundByItsCachedHandle) {
  const Octets one = MakeEc("key");
  Sign({"key", one}, kEcdsa, kData);
  OnToken(
      [&](Session& session) { EXPECT_EQ(hsm::DestroyKey(session, one), 2U); });  // as another backend does
  EXPECT_ERROR(kNotFound, Sign({"key", one}, kEcdsa, kData));
  const Octets two = MakeEc("key");
  EXPECT_ERROR(kNotFound, Sign({"key", one}, kEcdsa, kData));
  const OpenSslKey key = PublicHalf({"key", two});
  EXPECT_TRUE(OpenSslVerifies(key.get(), kEcdsa, kData, Sign({"key", two}, kEcdsa, kData)));
}

TEST_F(TokenObjects, AreRenamedInBothHalves) {
  const Octets id = MakeEc("before");
  MakeEc("taken");
  Rename("before", "after");
  EXPECT_ERROR(kNotFound, IdOf("before"));
  EXPECT_EQ(IdOf("after"), id);
  WithKey({"after", {}},
          [](Session&, const TokenKey& key) { EXPECT_NE(key.public_object, CK_INVALID_HANDLE); });
  EXPECT_ERROR(kExists, Rename("after", "taken"));
  EXPECT_ERROR(kInvalidArgument, Rename("after", "trustpoint-x"));
  EXPECT_ERROR(kInvalidArgument, Rename("after", ""));
  Rename("after", "after");
  script_->Answer("C_SetAttributeValue", CKR_SESSION_CLOSED, 2);
  Rename("after", "third");
  EXPECT_EQ(IdOf("third"), id) << "half done, and done again";
}

TEST_F(TokenObjects, KeepTheirUsageWhateverIsAsked) {
  MakeEc("key");
  const auto set = [&](std::string_view attribute, std::string_view value) {
    WithKey({"key", {}}, [&](Session& session, const TokenKey& key) {
      hsm::SetKeyAttribute(session, key, attribute, value);
    });
  };
  for (const char* attribute : {"CKA_DECRYPT", "CKA_SIGN", "CKA_DERIVE", "CKA_EXTRACTABLE", "CKA_SENSITIVE",
                                "CKA_ID", "CKA_LABEL", "CKA_MODIFIABLE", "", "cka_start_date"})
    EXPECT_ERROR(kInvalidArgument, set(attribute, "true"));
  for (const char* date : {"2026", "2026-13-01", "2026-01-32", "2026-1-1x", "20260101", "2026-01-01 "})
    EXPECT_ERROR(kInvalidArgument, set("CKA_START_DATE", date));
  std::multiset<std::string> shown;
  const auto read = [&] {
    shown.clear();
    WithKey({"key", {}}, [&](Session& session, const TokenKey& key) {
      for (const auto& attribute : hsm::ReadAttributes(session, key))
        shown.insert(attribute.name + "=" + attribute.value);
    });
  };
  set("CKA_SUBJECT", "CN=x");
  read();
  EXPECT_EQ(shown.count("CKA_SUBJECT=300c310a300806035504030c0178"), 2U);
  set("CKA_SUBJECT", "");
  read();
  EXPECT_EQ(shown.count("CKA_SUBJECT=300c310a300806035504030c0178"), 0U);
  EXPECT_ERROR(kInvalidArgument, set("CKA_SUBJECT", "no subject"));
  // SoftHSM takes a date for a private object and cannot read it again: it stays in the public half.
  set("CKA_START_DATE", "2026-01-31");
  set("CKA_END_DATE", "2027-01-31");
  read();
  EXPECT_EQ(shown.count("CKA_START_DATE=2026-01-31"), 1U);
  EXPECT_EQ(shown.count("CKA_END_DATE=2027-01-31"), 1U);
  set("CKA_END_DATE", "");
  read();
  EXPECT_EQ(shown.count("CKA_END_DATE=2027-01-31"), 0U);
}

TEST_F(TokenObjects, ADateThatNoHalfKeepsIsRefused) {
  MakeAes("aes", AesMode::kGcm);
  EXPECT_ERROR(kTokenRefused, WithKey({"aes", {}}, [&](Session& session, const TokenKey& key) {
                 hsm::SetKeyAttribute(session, key, "CKA_START_DATE", "2026-01-31");
               }));
  WithKey({"aes", {}}, [&](Session& session, const TokenKey& key) {
    for (const auto& attribute : hsm::ReadAttributes(session, key))
      EXPECT_NE(attribute.name, "CKA_START_DATE");
  });
}

TEST_F(TokenObjects, ShowTheirAttributesAndNoSecretOne) {
  MakeRsa("rsa");
  MakeAes("aes", AesMode::kGcm, 192);
  std::set<std::string> names, rows;
  for (const char* label : {"rsa", "aes"})
    WithKey({label, {}}, [&](Session& session, const TokenKey& key) {
      for (const auto& attribute : hsm::ReadAttributes(session, key)) {
        names.insert(attribute.name);
        rows.insert(attribute.object_class + " " + attribute.name + " " + attribute.value);
      }
    });
  for (const char* row : {"private key CKA_SENSITIVE true", "private key CKA_EXTRACTABLE false",
                          "private key CKA_KEY_TYPE RSA", "public key CKA_LABEL rsa",
                          "public key CKA_MODULUS_BITS 2048", "public key CKA_PUBLIC_EXPONENT 010001",
                          "secret key CKA_VALUE_LEN 24", "secret key CKA_ALLOWED_MECHANISMS CKM_AES_GCM",
                          "private key CKA_KEY_GEN_MECHANISM CKM_RSA_PKCS_KEY_PAIR_GEN"})
    EXPECT_TRUE(rows.contains(row)) << row;
  for (const char* secret : {"CKA_VALUE", "CKA_PRIVATE_EXPONENT", "CKA_PRIME_1"})
    EXPECT_FALSE(names.contains(secret));
}

TEST_F(TokenObjects, AreListedAll) {
  MakeRsa("rsa", Usage::kDecrypt);
  MakeEc("ec", crypto::Curve::kSecp256k1);
  MakeAes("aes", AesMode::kCbcPad, 128);
  CreateAes("trustpoint-pg-kek", KekId());
  std::vector<hsm::ObjectInfo> objects;
  OnToken([&](Session& session) { objects = hsm::ListObjects(session); });
  EXPECT_EQ(objects.size(), 6U);
  std::multiset<std::string> rows;
  for (const auto& object : objects)
    rows.insert(object.label + "|" + object.object_class + "|" + object.type + "|" +
                std::to_string(object.bits) + "|" + object.curve + "|" + object.usage + "|" + object.mode +
                "|" + (object.kek ? "kek" : ""));
  const std::multiset<std::string> wanted = {
      "rsa|private key|RSA|2048||decrypt||",
      "rsa|public key|RSA|2048||encrypt||",
      "ec|private key|EC|0|secp256k1|sign||",
      "ec|public key|EC|0|secp256k1|verify||",
      "aes|secret key|AES|128||encrypt, decrypt|cbc-pad|",
  };
  for (const std::string& row : wanted) EXPECT_EQ(rows.count(row), 1U) << row;
  EXPECT_EQ(std::count_if(objects.begin(), objects.end(), [](const auto& object) { return object.kek; }), 1);
}

TEST_F(TokenObjects, AreDestroyedWhole) {
  const Octets id = MakeRsa("key");
  MakeEc("stays");
  EXPECT_EQ(DestroyId(id), 2U);
  EXPECT_EQ(DestroyId(id), 0U) << "once more does no harm";
  EXPECT_EQ(Objects(), 2U);
  EXPECT_ERROR(kInvalidArgument, DestroyId({}));
}

// Which come first in every search, as they are older.
TEST_F(TokenObjects, AmongManyCertificatesAreStillFound) {
  const Octets id = NewId();
  CreateCertificates(100, "certified", id);
  const Octets made = MakeEc("certified");
  Change(made, CKA_ID, id);
  for (const KeyRef& ref : {KeyRef{"certified", {}}, KeyRef{"certified", id}})
    EXPECT_NO_THROW(Sign(ref, kEcdsa, kData)) << ref.id.size();
  MakeEc("other");
  EXPECT_ERROR(kExists, Rename("other", "certified"));
  EXPECT_ERROR(kExists, MakeEc("certified"));
  Rename("certified", "renamed");
  WithKey({"renamed", {}}, [&](Session&, const TokenKey& key) {
    EXPECT_NE(key.secret, CK_INVALID_HANDLE);
    EXPECT_NE(key.public_object, CK_INVALID_HANDLE);
  });
  EXPECT_EQ(DestroyId(id), 2U);
  EXPECT_ERROR(kNotFound, IdOf("renamed"));
  EXPECT_EQ(Objects(), 100U + 2) << "the certificates stay, and the other key";
}

TEST_F(TokenObjects, ThatSayTheyAreDestroyedAndStayAreTold) {
  const Octets id = MakeEc("stays");
  script_->Answer("C_DestroyObject", CKR_OK, 2);
  EXPECT_ERROR(kTokenRefused, DestroyId(id));
  EXPECT_EQ(DestroyId(id), 1U);
}

TEST_F(TokenObjects, OfTheKeyringAreOutOfReach) {
  const Octets id = KekId();
  CreateAes("innocent", id);  // a KEK by its id alone
  CreateAes("trustpoint-kek", NewId());
  for (const KeyRef& ref : {KeyRef{"innocent", {}}, KeyRef{"innocent", id}, KeyRef{"trustpoint-kek", {}}}) {
    EXPECT_ERROR(kInvalidArgument, WithKey(ref, [](Session&, const TokenKey&) {}));
    EXPECT_ERROR(kInvalidArgument, OnToken([&](Session& session) { hsm::FindKey(session, ref); }));
    EXPECT_ERROR(kInvalidArgument, AesDecrypt(ref, AesMode::kEcb, Octets(16)));
    EXPECT_ERROR(kInvalidArgument, Rename(ref.label, "mine"));
  }
  EXPECT_ERROR(kInvalidArgument, DestroyId(id));
  const std::size_t objects = Objects();
  EXPECT_ERROR(kInvalidArgument, OnToken([&](Session& session) {
                 hsm::MakeEcKey(session, {"x", id}, kCurves[0]);
               }));
  EXPECT_EQ(Objects(), objects);
}

}  // namespace
}  // namespace trustpoint::test
