#include "pkcs11/softhsm_files.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace trustpoint::pkcs11 {
namespace {

namespace fs = std::filesystem;

constexpr char kModule[] = "/usr/lib/softhsm/libsofthsm2.so";

void Write(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string Read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

fs::path MakeFolder() {
  char pattern[] = "/tmp/trustpoint-files-XXXXXX";
  return mkdtemp(pattern);
}

// A token folder with one token, and a configuration that names it.
class SoftHsmFiles : public ::testing::Test {
 protected:
  SoftHsmFiles() {
    fs::create_directories(token_);
    Write(root_ / "conf", "# a comment\n\n  directories.tokendir  =  " + (root_ / "tokens").string() +
                              " \nlog.level = ERROR\n");
    setenv("SOFTHSM2_CONF", (root_ / "conf").c_str(), 1);
    Write(file_, "token");
  }
  ~SoftHsmFiles() override {
    unsetenv("SOFTHSM2_CONF");
    fs::remove_all(root_);
  }

  const fs::path root_ = MakeFolder();
  const fs::path token_ = root_ / "tokens" / "one";
  const fs::path file_ = token_ / "token.object";
  const fs::path copy_ = token_ / "token.object.trustpoint";
};

TEST_F(SoftHsmFiles, AreCopiedAndPutBackWhenEmpty) {
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
  EXPECT_EQ(Read(copy_), "token");
  Write(file_, "");
  EXPECT_EQ(MendSoftHsmFiles(kModule), 1);
  EXPECT_EQ(Read(file_), "token");
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
  struct stat status = {};
  ASSERT_EQ(stat(copy_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(SoftHsmFiles, ThatChangedAreCopiedAnew) {
  (void)MendSoftHsmFiles(kModule);
  Write(file_, "token with another PIN");
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
  EXPECT_EQ(Read(copy_), "token with another PIN");
  EXPECT_EQ(Read(file_), "token with another PIN");
}

TEST_F(SoftHsmFiles, WithoutACopyAreLeftAlone) {
  Write(file_, "");
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
  EXPECT_FALSE(fs::exists(copy_));
  Write(copy_, "");
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
  EXPECT_EQ(Read(file_), "");
}

TEST_F(SoftHsmFiles, OfEveryTokenAreMended) {
  const fs::path other = root_ / "tokens" / "two";
  fs::create_directory(other);
  Write(other / "token.object", "other");
  (void)MendSoftHsmFiles(kModule);
  Write(file_, "");
  Write(other / "token.object", "");
  EXPECT_EQ(MendSoftHsmFiles(kModule), 2);
  EXPECT_EQ(Read(file_), "token");
  EXPECT_EQ(Read(other / "token.object"), "other");
}

TEST_F(SoftHsmFiles, ThatAreLinksOrTooLargeAreLeftAlone) {
  Write(root_ / "elsewhere", "elsewhere");
  fs::remove(file_);
  fs::create_symlink(root_ / "elsewhere", file_);
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
  EXPECT_FALSE(fs::exists(copy_));
  fs::remove(file_);
  Write(file_, std::string(100000, 'x'));
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
  EXPECT_FALSE(fs::exists(copy_));
}

TEST_F(SoftHsmFiles, OfAnotherModuleOrWithoutAConfigurationAreNotLookedFor) {
  setenv("SOFTHSM2_CONF", (root_ / "nowhere").c_str(), 1);
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
  Write(root_ / "conf", "no equals sign\n = nothing\ndirectories.tokendir =\n");
  setenv("SOFTHSM2_CONF", (root_ / "conf").c_str(), 1);
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
  unsetenv("SOFTHSM2_CONF");
  EXPECT_EQ(MendSoftHsmFiles("/usr/lib/other.so"), 0);
  EXPECT_FALSE(fs::exists(copy_));
}

}  // namespace
}  // namespace trustpoint::pkcs11
