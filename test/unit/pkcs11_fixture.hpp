// What the tests of src/pkcs11 share: a private SoftHSM token, and the loop that PostgreSQL's side runs.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "pkcs11/connection.hpp"
#include "pkcs11/object.hpp"
#include "scripted_token.hpp"

namespace trustpoint::test {

inline constexpr const char* kSoftHsm = "/usr/lib/softhsm/libsofthsm2.so";
inline constexpr const char* kLabel = "first token";
inline constexpr const char* kPin = "correct-pin";
inline constexpr const char* kSoPin = "so-secret-pin";

class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::string File(std::string_view name) const { return (path_ / name).string(); }
  std::string Write(std::string_view name, std::string_view text, unsigned mode = 0600) const;

 private:
  std::filesystem::path path_;
};

pkcs11::Pin MakePin(std::string_view text, std::uint64_t inode = 1);
pkcs11::Primitives
FakePrimitives();  // keyed, and different for different input: enough to test what is stored

// What a failing body threw; nullopt when it did not fail.
template <class Body>
std::optional<base::Error> ErrorOf(Body&& body) {
  try {
    body();
  } catch (const base::Error& error) {
    return error;
  }
  return std::nullopt;
}

#define EXPECT_ERROR(wanted, body)                                   \
  do {                                                               \
    const auto raised = ::trustpoint::test::ErrorOf([&] { body; });  \
    ASSERT_TRUE(raised) << "no error";                               \
    EXPECT_EQ(raised->code(), ::trustpoint::base::ErrorCode::wanted) \
        << raised->what() << " / " << raised->failure().detail;      \
  } while (false)

// A SoftHSM of its own for each test, with one token, behind a ScriptedToken.
class TokenTest : public ::testing::Test {
 protected:
  TokenTest();
  ~TokenTest() override;

  // A connection as a backend has it. Those of one test share the module, as those of one process do.
  std::unique_ptr<pkcs11::Connection> Connect();
  // A new token in the free slot, behind the back of all connections. Finalises the module.
  void CreateToken(const std::string& label);
  void HideTokens();  // takes the folder away
  void ShowTokens();  // and brings it back
  void SetPin(std::string_view pin) { folder_.Write("pin", std::string(pin) + "\n"); }

  // The loop of the caller: starts and waits as asked, without really waiting.
  template <class Operation>
  void Run(pkcs11::Connection& connection, pkcs11::Level level, Operation&& operation) {
    connection.Configure(config_);
    connection.BeginOperation();
    for (bool start = false;;) {
      try {
        if (start) {
          ++starts_;
          connection.Start(level);
        }
        start = false;
        connection.Run(level, operation);
        return;
      } catch (const base::Error& error) {
        ASSERT_LT(starts_ + waits_, 100) << "endless";
        if (error.code() == base::ErrorCode::kNeedStart) {
          start = true;
        } else if (error.code() == base::ErrorCode::kBusy) {
          ++waits_;
          waited_ms_ += error.failure().wait_ms;
        } else {
          throw;
        }
      }
    }
  }
  // The least that needs the token.
  void Use(pkcs11::Connection& connection, pkcs11::Level level = pkcs11::Level::kLogin);

  Folder folder_;
  pkcs11::Config config_;
  std::unique_ptr<ScriptedToken> script_;
  std::unique_ptr<pkcs11::PinMemo> memo_;
  int starts_ = 0, waits_ = 0;
  unsigned waited_ms_ = 0;
};

}  // namespace trustpoint::test
