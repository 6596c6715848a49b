#include "pkcs11/pin.hpp"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pkcs11/token.hpp"
#include "pkcs11_fixture.hpp"

namespace trustpoint::test {
namespace {

using pkcs11::ReadPin;

std::string Read(const std::string& path) {
  const pkcs11::Pin pin = ReadPin(path, "trustpoint.pin_file");
  return std::string(base::AsText(pin.text.view()));
}

TEST(PinFile, GivesItsFirstLineWithoutTheEnd) {
  const Folder folder;
  EXPECT_EQ(Read(folder.Write("a", "1234\n")), "1234");
  EXPECT_EQ(Read(folder.Write("b", "1234")), "1234");
  EXPECT_EQ(Read(folder.Write("c", "1234\r\nnext\n")), "1234");
  EXPECT_EQ(Read(folder.Write("d", " user:pass word \n")), " user:pass word ");
  EXPECT_EQ(Read(folder.Write("e", std::string(255, 'x') + "\n" + std::string(9000, 'y'))),
            std::string(255, 'x'));
}

TEST(PinFile, IsRefusedWhenNotSetMissingEmptyOrTooLong) {
  const Folder folder;
  EXPECT_ERROR(kNotConfigured, Read(""));
  EXPECT_ERROR(kNotConfigured, Read(folder.File("missing")));
  EXPECT_ERROR(kNotConfigured, Read(folder.Write("a", "")));
  EXPECT_ERROR(kNotConfigured, Read(folder.Write("b", "\n1234\n")));
  EXPECT_ERROR(kNotConfigured, Read(folder.Write("c", "\r\n")));
  EXPECT_ERROR(kNotConfigured, Read(folder.Write("d", std::string(256, 'x'))));
  EXPECT_ERROR(kNotConfigured, Read(folder.Write("e", std::string(256, 'x') + "\n")));
}

TEST(PinFile, IsRefusedInEveryModeThatOpensItToOthers) {
  const Folder folder;
  for (const unsigned mode : {0400U, 0600U}) EXPECT_EQ(Read(folder.Write("ok", "1234", mode)), "1234");
  for (const unsigned mode : {0644U, 0604U, 0620U, 0660U, 0602U, 0700U, 0601U, 04600U})
    EXPECT_ERROR(kNotConfigured, Read(folder.Write("bad", "1234", mode)));
}

TEST(PinFile, OfRootMayBeReadByAGroup) {
  const Folder folder;
  const std::string file = folder.Write("pin", "1234", 0640);
  if (geteuid() == 0) {
    EXPECT_EQ(Read(file), "1234");
    ASSERT_EQ(chown(file.c_str(), 65534, 0), 0);
  }
  EXPECT_ERROR(kNotConfigured, Read(file));
}

TEST(PinFile, OfTheServersUserMayNotBeReadByAGroup) {
  const Folder folder;
  const std::string file = folder.Write("pin", "1234", 0640);
  const pid_t child = fork();
  if (child == 0) {
    if (geteuid() == 0) {  // become an ordinary user, whose file it is
      if (chmod(folder.path().c_str(), 0711) != 0 || chown(file.c_str(), 65534, 65534) != 0 ||
          seteuid(65534) != 0)
        _exit(2);
    }
    const bool refused = ErrorOf([&] { Read(file); }).has_value();
    const bool taken = chmod(file.c_str(), 0600) == 0 && Read(file) == "1234";
    _exit(refused && taken ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// Only root could give a file away, so the rule is asked by itself.
TEST(PinFile, OfAnotherUserIsRefused) {
  const auto check = [](uid_t owner, mode_t mode) {
    struct stat file {};
    file.st_uid = owner;
    file.st_mode = S_IFREG | mode;
    pkcs11::CheckPinFile(file, 1000, "trustpoint.pin_file");
  };
  EXPECT_NO_THROW(check(1000, 0600));
  EXPECT_NO_THROW(check(0, 0640));
  EXPECT_ERROR(kNotConfigured, check(1001, 0600));
  EXPECT_ERROR(kNotConfigured, check(1001, 0400));
  EXPECT_ERROR(kNotConfigured, check(1000, 0640));
  EXPECT_ERROR(kNotConfigured, check(0, 0644));
}

TEST(PinFile, MayBeALinkButNotAFolderOrAPipe) {
  const Folder folder;
  folder.Write("target", "1234");
  std::filesystem::create_symlink(folder.File("target"), folder.File("link"));
  EXPECT_EQ(Read(folder.File("link")), "1234");
  EXPECT_ERROR(kNotConfigured, Read(folder.path().string()));
  ASSERT_EQ(mkfifo(folder.File("pipe").c_str(), 0600), 0);
  EXPECT_ERROR(kNotConfigured, Read(folder.File("pipe")));  // and without waiting for a writer
}

TEST(PinFile, NamesItsSettingAndNeverItsContent) {
  const Folder folder;
  const auto error =
      ErrorOf([&] { ReadPin(folder.Write("pin", std::string(300, '7')), "trustpoint.so_pin_file"); });
  ASSERT_TRUE(error);
  EXPECT_NE(std::string(error->what()).find("trustpoint.so_pin_file"), std::string::npos);
  EXPECT_EQ(std::string(error->failure().detail).find("777"), std::string::npos);
}

TEST(PinFile, HasAnotherIdentityAfterEveryChange) {
  const Folder folder;
  const auto before = ReadPin(folder.Write("pin", "1234"), "s").file;
  EXPECT_EQ(ReadPin(folder.File("pin"), "s").file, before);
  folder.Write("other", "1234");
  std::filesystem::rename(folder.File("other"), folder.File("pin"));
  EXPECT_NE(ReadPin(folder.File("pin"), "s").file, before);
}

TEST(PinLength, IsHeldAgainstTheLimitsOfTheToken) {
  pkcs11::TokenInfo token;
  const auto check = [&](std::string_view pin) { pkcs11::CheckPinLength(token, MakePin(pin), "s"); };
  EXPECT_NO_THROW(check("1"));  // no limits known
  token.min_pin = 4, token.max_pin = 8;
  EXPECT_NO_THROW(check("1234"));
  EXPECT_NO_THROW(check("12345678"));
  EXPECT_ERROR(kNotConfigured, check("123"));
  EXPECT_ERROR(kNotConfigured, check("123456789"));
  token.max_pin = CK_UNAVAILABLE_INFORMATION;
  EXPECT_NO_THROW(check("1"));
}

}  // namespace
}  // namespace trustpoint::test
