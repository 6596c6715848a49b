#include "pkcs11/softhsm_files.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

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

// As SoftHSM writes numbers, and a token's file: a count, and attributes of each kind.
std::string Number(unsigned value) { return std::string(7, '\0') + static_cast<char>(value); }
std::string Token(const std::string& label) {
  return Number(9) + Number(1) + Number(3) + Number(static_cast<unsigned>(label.size())) + label + Number(2) +
         Number(2) + Number(5) + Number(3) + Number(1) + '\1';
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
    Write(file_, Token("token"));
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
  EXPECT_EQ(Read(copy_), Token("token"));
  Write(file_, "");
  EXPECT_EQ(MendSoftHsmFiles(kModule), 1);
  EXPECT_EQ(Read(file_), Token("token"));
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
  struct stat status = {};
  ASSERT_EQ(stat(copy_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(SoftHsmFiles, ThatChangedAreCopiedAnew) {
  (void)MendSoftHsmFiles(kModule);
  Write(file_, Token("token with another PIN"));
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
  EXPECT_EQ(Read(copy_), Token("token with another PIN"));
  EXPECT_EQ(Read(file_), Token("token with another PIN"));
}

TEST_F(SoftHsmFiles, WithoutACopyAreLeftAlone) {
  Write(file_, "");
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
  EXPECT_FALSE(fs::exists(copy_));
  Write(copy_, "");
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
  EXPECT_EQ(Read(file_), "");
}

TEST_F(SoftHsmFiles, ThatTheEndOfAProcessOrOfTheMachineBlankedArePutBack) {
  (void)MendSoftHsmFiles(kModule);
  for (const std::string& blank :
       {Number(10), std::string(3, '\0'), std::string(Token("token").size(), '\0')}) {
    Write(file_, blank);
    EXPECT_EQ(MendSoftHsmFiles(kModule), 1) << blank.size();
    EXPECT_EQ(Read(file_), Token("token"));
    EXPECT_EQ(Read(copy_), Token("token"));
  }
}

TEST_F(SoftHsmFiles, ThatAreNotWholeNeverTakeThePlaceOfTheCopy) {
  (void)MendSoftHsmFiles(kModule);
  const std::string whole = Token("token of tomorrow");
  for (const std::string& part :
       {whole.substr(0, 20), whole.substr(0, whole.size() - 1), whole + Number(1),
        whole + Number(1) + Number(7), Number(9) + Number(1) + Number(3) + Number(200) + "too short",
        std::string("no token at all")}) {
    Write(file_, part);
    EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
    EXPECT_EQ(Read(copy_), Token("token")) << part.size();
    EXPECT_EQ(Read(file_), part) << "it may be newer than the copy";
  }
  Write(file_, "");
  Write(copy_, whole.substr(0, 20));
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0) << "nor is such a copy put back";
}

// Two servers on one folder.
TEST_F(SoftHsmFiles, ThatAnotherServerWritesAreLeftToIt) {
  const fs::path fresh = copy_.string() + ".new";
  Write(fresh, "half of");
  const int other = open(fresh.c_str(), O_RDONLY);
  ASSERT_EQ(flock(other, LOCK_EX), 0);
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
  EXPECT_EQ(Read(fresh), "half of");
  EXPECT_FALSE(fs::exists(copy_));
  close(other);  // it died
  Write(fresh, std::string(1000, 'x'));
  EXPECT_EQ(MendSoftHsmFiles(kModule), 0);
  EXPECT_EQ(Read(copy_), Token("token"));
  EXPECT_FALSE(fs::exists(fresh)) << "nothing is left lying about";
}

TEST_F(SoftHsmFiles, OfEveryTokenAreMended) {
  const fs::path other = root_ / "tokens" / "two";
  fs::create_directory(other);
  Write(other / "token.object", Token("other"));
  (void)MendSoftHsmFiles(kModule);
  Write(file_, "");
  Write(other / "token.object", "");
  EXPECT_EQ(MendSoftHsmFiles(kModule), 2);
  EXPECT_EQ(Read(file_), Token("token"));
  EXPECT_EQ(Read(other / "token.object"), Token("other"));
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
