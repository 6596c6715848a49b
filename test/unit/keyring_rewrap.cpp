// DEKs under another KEK, and back from a recovery, on a real SoftHSM token.
#include "base/error.hpp"
#include "keyring/dek.hpp"
#include "keyring/recovery.hpp"
#include "unit/keyring_fixture.hpp"
#include "unit/pkcs11_fixture.hpp"

namespace trustpoint::test {
namespace {

using base::ErrorCode;
using keyring::DekRow;
using keyring::Kek;
using keyring::KekRow;
using pkcs11::Level;
using pkcs11::Session;

class KeyringRewrap : public TokenTest {
 protected:
  KeyringRewrap() : connection_(Connect()), first_(NewKek("kek 1")), second_(NewKek("kek 2")) {
    row_ = MakeRow(7, "tenant");
    OnToken([&](Session& session) {
      Kek kek(session, first_);
      keyring::MakeDek(session, kek, &row_);
    });
  }

  template <class Operation>
  void OnToken(Operation&& operation) {
    Run(*connection_, Level::kLogin, operation);
  }

  KekRow NewKek(const char* label) {
    KekRow kek{};
    OnToken([&](Session& session) {
      kek = keyring::FindOrCreateKek(session, label, connection_->token().serial);
    });
    return kek;
  }

  std::string Unwrapped(const KekRow& kek_row, const DekRow& row) {
    std::string dek;
    OnToken([&](Session& session) {
      Kek kek(session, kek_row);
      dek = base::AsText(keyring::UnwrapDek(kek, row).view());
    });
    return dek;
  }

  void Wrap(const std::string& dek, DekRow* row) {
    OnToken([&](Session& session) {
      Kek kek(session, second_);
      keyring::WrapDek(kek, base::AsBytes(dek), row);
    });
  }

  std::unique_ptr<pkcs11::Connection> connection_;
  KekRow first_, second_;
  DekRow row_;
};

template <class Body>
ErrorCode CodeOf(Body&& body) {
  try {
    body();
  } catch (const base::Error& error) {
    return error.code();
  }
  return ErrorCode::kInternal;
}

TEST_F(KeyringRewrap, TheDekStaysAndAllThatBindsItChanges) {
  const std::string dek = Unwrapped(first_, row_);
  ASSERT_EQ(dek.size(), 32U);
  DekRow row = row_;
  Wrap(dek, &row);
  EXPECT_EQ(row.kek_id, second_.id);
  EXPECT_NE(row.wrapped, row_.wrapped);
  EXPECT_NE(row.check_value, row_.check_value);
  EXPECT_EQ(row.id, row_.id);
  EXPECT_EQ(Unwrapped(second_, row), dek);
  EXPECT_EQ(Unwrapped(first_, row_), dek) << "the old row is as good as before";
}

TEST_F(KeyringRewrap, EachKekOpensItsOwnRowsAlone) {
  const std::string dek = Unwrapped(first_, row_);
  DekRow row = row_;
  Wrap(dek, &row);
  EXPECT_EQ(CodeOf([&] { Unwrapped(first_, row); }), ErrorCode::kDamagedKey);
  EXPECT_EQ(CodeOf([&] { Unwrapped(second_, row_); }), ErrorCode::kDamagedKey);
  DekRow mixed = row;  // the new bytes under the old id of the KEK
  mixed.kek_id = first_.id;
  EXPECT_EQ(CodeOf([&] { Unwrapped(second_, mixed); }), ErrorCode::kDamagedKey);
}

TEST_F(KeyringRewrap, ADestroyedKekIsGone) {
  bool destroyed = false, again = true;
  OnToken([&](Session& session) { destroyed = keyring::DestroyKek(session, first_); });
  OnToken([&](Session& session) { again = keyring::DestroyKek(session, first_); });
  EXPECT_TRUE(destroyed);
  EXPECT_FALSE(again);
  EXPECT_EQ(CodeOf([&] { Unwrapped(first_, row_); }), ErrorCode::kNotFound);
  OnToken([&](Session& session) { (void)Kek(session, second_); });
}

TEST_F(KeyringRewrap, RecoversTheDekOfTheCheckValueAlone) {
  const std::string dek = Unwrapped(first_, row_);
  const auto recover = [&](const std::string& bytes, DekRow* row) {
    OnToken([&](Session& session) {
      Kek kek(session, second_);
      keyring::RecoverDek(kek, base::AsBytes(bytes), row);
    });
  };
  DekRow row = row_;
  std::string other = dek;
  other[31] = static_cast<char>(other[31] ^ 1);
  EXPECT_EQ(CodeOf([&] { recover(other, &row); }), ErrorCode::kAuthenticationFailed);
  EXPECT_EQ(CodeOf([&] { recover(dek.substr(1), &row); }), ErrorCode::kAuthenticationFailed);
  EXPECT_EQ(CodeOf([&] { recover("", &row); }), ErrorCode::kAuthenticationFailed);
  EXPECT_EQ(row.wrapped, row_.wrapped) << "a refusal changes nothing";
  row.wrapped = {};
  recover(dek, &row);
  EXPECT_EQ(Unwrapped(second_, row), dek);
}

TEST_F(KeyringRewrap, TheLabelOfAnExportNamesTheKekOfThatTime) {
  DekRow later = row_;
  later.kek_id = second_.id;
  EXPECT_EQ(keyring::RecoveryLabel(row_, first_.id), keyring::RecoveryLabel(later, first_.id));
  EXPECT_NE(keyring::RecoveryLabel(row_, first_.id), keyring::RecoveryLabel(row_, second_.id));
  DekRow other = row_;
  other.id = 8;
  EXPECT_NE(keyring::RecoveryLabel(row_, first_.id), keyring::RecoveryLabel(other, first_.id));
  const auto label = keyring::RecoveryLabel(row_, first_.id);
  EXPECT_EQ(base::AsText(base::Bytes(label).first(15)), "tpdek-recovery1");
}

}  // namespace
}  // namespace trustpoint::test
