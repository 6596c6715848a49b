#include "pkcs11/object.hpp"

#include <set>

#include "pkcs11/rv.hpp"
#include "pkcs11_fixture.hpp"

namespace trustpoint::test {
namespace {

using pkcs11::Level;
using pkcs11::Session;
using pkcs11::Template;
using pkcs11::TemporaryObject;

class ObjectTest : public TokenTest {
 protected:
  ObjectTest() : connection_(Connect()) {}

  template <class Operation>
  void OnToken(Operation&& operation) {
    Run(*connection_, Level::kLogin, operation);
  }
  static CK_OBJECT_HANDLE MakeData(Session& session, std::string_view label, std::size_t size = 5) {
    Template attributes;
    attributes.Add(CKA_CLASS, CK_ULONG{CKO_DATA}).Add(CKA_TOKEN, true).Add(CKA_LABEL, label);
    attributes.Add(CKA_VALUE, std::string_view(std::string(size, 'v')));
    CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
    session.Check(
        session.api()->C_CreateObject(session.handle(), attributes.data(), attributes.size(), &handle),
        "C_CreateObject");
    return handle;
  }
  static Template ByLabel(std::string_view label) {
    Template search;
    search.Add(CKA_LABEL, label);
    return search;
  }

  std::unique_ptr<pkcs11::Connection> connection_;
};

TEST(TemplateTest, OwnsWhatItPointsTo) {
  Template attributes;
  {
    std::string gone = "label";
    attributes.Add(CKA_LABEL, gone)
        .Add(CKA_TOKEN, true)
        .Add(CKA_VALUE_LEN, CK_ULONG{32})
        .Add(CKA_ID, "literal");
    gone = "XXXXX";
  }
  Template moved = std::move(attributes);
  ASSERT_EQ(moved.size(), 4U);
  EXPECT_EQ(std::string(static_cast<char*>(moved.data()[0].pValue), 5), "label");
  EXPECT_EQ(moved.data()[1].ulValueLen, sizeof(CK_BBOOL));
  EXPECT_EQ(moved.data()[2].ulValueLen, sizeof(CK_ULONG));
  EXPECT_EQ(moved.data()[3].ulValueLen, 7U) << "a literal is text, not a bool";
  moved.Remove(CKA_TOKEN);
  ASSERT_EQ(moved.size(), 3U);
  EXPECT_EQ(moved.data()[1].type, CKA_VALUE_LEN);
}

TEST(TemplateTest, DoesNotCopyASecret) {
  const base::Secret secret(std::size_t{16});
  Template attributes;
  attributes.AddSecret(CKA_VALUE, secret.view());
  EXPECT_EQ(attributes.data()[0].pValue, secret.view().data());
}

TEST_F(ObjectTest, FindsExactlyOneOrSaysWhyNot) {
  OnToken([&](Session& session) {
    const CK_OBJECT_HANDLE made = MakeData(session, "one");
    MakeData(session, "two");
    MakeData(session, "two");
    Template one = ByLabel("one"), two = ByLabel("two");
    EXPECT_EQ(pkcs11::FindOne(session, one, "object"), made);
    EXPECT_EQ(pkcs11::Find(session, two, 10).size(), 2U);
    EXPECT_EQ(pkcs11::Find(session, two, 1).size(), 1U);
    EXPECT_ERROR(kExists, pkcs11::FindOne(session, two, "object"));
  });
  Template none = ByLabel("none");
  EXPECT_ERROR(kNotFound, OnToken([&](Session& session) { pkcs11::FindOne(session, none, "key \"ca\""); }));
}

TEST_F(ObjectTest, CollectsWhatAModuleHandsOutInPortions) {
  OnToken([&](Session& session) {
    for (int i = 0; i < 40; ++i) MakeData(session, "many");
    Template many = ByLabel("many");
    EXPECT_EQ(pkcs11::Find(session, many, 100).size(), 40U);
  });
}

TEST_F(ObjectTest, FindsAllHoweverManyThereAre) {
  OnToken([&](Session& session) {
    for (int i = 0; i < 300; ++i) MakeData(session, "many");
    Template many = ByLabel("many");
    const auto found = pkcs11::FindAll(session, many);
    EXPECT_EQ(std::set(found.begin(), found.end()).size(), 300U);
    EXPECT_EQ(pkcs11::Find(session, many, 299).size(), 299U);
  });
}

TEST_F(ObjectTest, EndsASearchThatNeverEnds) {
  Template any = ByLabel("any");
  OnToken([](Session&) {});
  script_->EditCount([](CK_ULONG& count) { count = 200; });
  EXPECT_ERROR(kTokenRefused, OnToken([&](Session& session) { pkcs11::FindAll(session, any); }));
  script_->Forget();
  OnToken([&](Session& session) { EXPECT_EQ(pkcs11::FindAll(session, any).size(), 0U); });
}

TEST_F(ObjectTest, TakesNoMoreThanItHasRoomFor) {
  OnToken([&](Session& session) {
    MakeData(session, "one");
    Template one = ByLabel("one");
    script_->EditCount([](CK_ULONG& count) { count = 1000; });
    EXPECT_EQ(pkcs11::Find(session, one, 2).size(), 2U);
    script_->Forget();
  });
}

TEST_F(ObjectTest, EndsASearchThatFails) {
  Template any = ByLabel("any");
  OnToken([](Session&) {});
  script_->Answer("C_FindObjects", CKR_FUNCTION_CANCELED);
  EXPECT_ERROR(kTokenRefused, OnToken([&](Session& session) { pkcs11::Find(session, any, 2); }));
  EXPECT_EQ(script_->Calls("C_FindObjectsFinal"), 1);
}

TEST_F(ObjectTest, ReadsAttributesOfAnySize) {
  OnToken([&](Session& session) {
    const CK_OBJECT_HANDLE small = MakeData(session, "small"), large = MakeData(session, "large", 5000);
    EXPECT_EQ(pkcs11::ReadBool(session, small, CKA_TOKEN), true);
    EXPECT_EQ(pkcs11::ReadUlong(session, small, CKA_CLASS), CKO_DATA);
    EXPECT_EQ(pkcs11::ReadBytes(session, small, CKA_VALUE), std::vector<std::uint8_t>(5, 'v'));
    EXPECT_EQ(pkcs11::ReadBytes(session, large, CKA_VALUE), std::vector<std::uint8_t>(5000, 'v'));
    EXPECT_EQ(pkcs11::ReadBytes(session, small, CKA_MODULUS), std::nullopt);
    EXPECT_EQ(pkcs11::ReadBool(session, small, CKA_SENSITIVE), std::nullopt);
  });
}

TEST_F(ObjectTest, ATemporaryObjectIsGoneAlsoAfterAnException) {
  CK_OBJECT_HANDLE handle = CK_INVALID_HANDLE;
  EXPECT_ERROR(kInternal, OnToken([&](Session& session) {
                 handle = MakeData(session, "temporary");
                 const TemporaryObject object(session, handle);
                 throw base::Error(base::ErrorCode::kInternal, "thrown");
               }));
  Template search = ByLabel("temporary");
  OnToken([&](Session& session) { EXPECT_TRUE(pkcs11::Find(session, search, 1).empty()); });
}

TEST_F(ObjectTest, AStaleHandleIsFoundAgainByRunningAgain) {
  OnToken([&](Session& session) { MakeData(session, "key"); });
  std::uint64_t epoch = 0;
  CK_OBJECT_HANDLE cached = CK_INVALID_HANDLE;
  int runs = 0;
  const auto use = [&](Session& session) {
    ++runs;
    Template search = ByLabel("key");
    if (epoch != connection_->epoch()) cached = pkcs11::FindOne(session, search, "object");
    epoch = connection_->epoch();
    EXPECT_EQ(pkcs11::ReadBytes(session, cached, CKA_LABEL), std::vector<std::uint8_t>({'k', 'e', 'y'}));
  };
  OnToken(use);
  OnToken([&](Session& session) {
    pkcs11::Destroy(session, cached);
    MakeData(session, "key");
  });
  OnToken(use);
  EXPECT_EQ(runs, 3);
}

TEST_F(ObjectTest, FindsNothingAndSaysSoWhenTheTokenFolderIsGone) {
  OnToken([](Session&) {});
  HideTokens();
  Template any = ByLabel("any");
  EXPECT_ERROR(kTokenUnreachable, OnToken([&](Session& session) { pkcs11::Find(session, any, 2); }));
}

TEST_F(ObjectTest, FindsNothingAlsoWhileOthersWriteTheToken) {
  int runs = 0;
  OnToken([](Session&) {});
  script_->Answer("C_GetTokenInfo", CKR_GENERAL_ERROR, 1, 2);
  Template none = ByLabel("none");
  OnToken([&](Session& session) {
    ++runs;
    EXPECT_TRUE(pkcs11::Find(session, none, 2).empty());
  });
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace trustpoint::test
