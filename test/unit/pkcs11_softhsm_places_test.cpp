// Each of these is what SoftHSM 2.6.1 itself makes of such a configuration.
#include "pkcs11/softhsm_places.hpp"

#include <sys/stat.h>

#include <cstdlib>

#include "pkcs11_fixture.hpp"

namespace trustpoint::test {
namespace {

using pkcs11::FindSoftHsm;

constexpr char kSystem[] = "/etc/softhsm/softhsm2.conf";

class SoftHsmPlaces : public ::testing::Test {
 protected:
  SoftHsmPlaces() { unsetenv("SOFTHSM2_CONF"); }
  ~SoftHsmPlaces() override {
    if (home_) setenv("HOME", home_->c_str(), 1);
  }
  // The folder that a configuration of this text names.
  std::string FolderIn(std::string_view text) {
    const std::string file = folder_.Write("conf", text);
    return FindSoftHsm(kSoftHsm, &file).token_folder;
  }
  std::string ConfigurationIn(const std::string& home) {
    setenv("HOME", home.c_str(), 1);
    return FindSoftHsm(kSoftHsm).configuration;
  }

  const std::optional<std::string> home_ =
      std::getenv("HOME") ? std::optional<std::string>(std::getenv("HOME")) : std::nullopt;
  Folder folder_;
};

TEST_F(SoftHsmPlaces, AreReadWithoutCommentsAndSpaces) {
  EXPECT_EQ(FolderIn("directories.tokendir = /a # comment\n"), "/a");
  EXPECT_EQ(FolderIn("directories.tokendir=/a#comment = x"), "/a");
  EXPECT_EQ(FolderIn(" \t directories.tokendir \t=\v/a b\f \r\n"), "/a b");
  EXPECT_EQ(FolderIn("# directories.tokendir = /b\ndirectories.tokendir = /a\n#"), "/a");
}

TEST_F(SoftHsmPlaces, AreThoseThatAreNamedLast) {
  EXPECT_EQ(FolderIn("directories.tokendir = /a\ndirectories.tokendir = /b\n"), "/b");
  EXPECT_EQ(FolderIn("directories.tokendir = /a\ndirectories.tokendir =\ndirectories.tokendir\n"), "/a");
}

TEST_F(SoftHsmPlaces, HaveTheWholeName) {
  EXPECT_EQ(FolderIn("directories.tokendir = /a\ndirectories.tokendirectory = /b\n"), "/a");
  EXPECT_EQ(FolderIn("directories.tokendir = /a\nx directories.tokendir = /b\n"), "/a");
  EXPECT_EQ(FolderIn("==directories.tokendir==/a=b\n"), "/a") << "as strtok reads it";
}

TEST_F(SoftHsmPlaces, HaveADefault) {
  EXPECT_EQ(FolderIn("log.level = ERROR\n = nothing\n=\nno equals sign\n"), "/var/lib/softhsm/tokens/");
  const std::string nowhere = folder_.File("nowhere"), nothing;
  EXPECT_EQ(FindSoftHsm(kSoftHsm, &nowhere).token_folder, "");
  EXPECT_EQ(FindSoftHsm(kSoftHsm, &nothing).configuration, "");
  EXPECT_EQ(FindSoftHsm("/usr/lib/other.so").configuration, "");
}

TEST_F(SoftHsmPlaces, AreTheUsersOwnWhereThisOneMayReadThem) {
  EXPECT_EQ(ConfigurationIn(folder_.File("")), kSystem);
  std::filesystem::create_directories(folder_.path() / "home/.config/softhsm2");
  const std::string home = folder_.File("home");
  const std::string own = folder_.Write("home/.config/softhsm2/softhsm2.conf", "");
  EXPECT_EQ(ConfigurationIn(home), own);
  if (geteuid() == 0) GTEST_SKIP() << "root may read all";
  chmod(own.c_str(), 0);
  EXPECT_EQ(ConfigurationIn(home), kSystem);
  chmod(home.c_str(), 0);  // as /root is
  EXPECT_EQ(ConfigurationIn(home), kSystem);
  chmod(home.c_str(), 0700);
}

}  // namespace
}  // namespace trustpoint::test
