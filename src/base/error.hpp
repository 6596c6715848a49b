// The one exception type of the core, and Contain, the only door between C++ and a caller that longjmps.
//
// A body run by Contain may throw; the caller gets a Failure, which is plain bytes and outlives the body. No
// message, detail or hint ever holds a key, a PIN, plaintext or ciphertext.
#pragma once

#include <cstdint>
#include <exception>
#include <new>
#include <string_view>
#include <type_traits>

namespace trustpoint::base {

// What went wrong, as the caller must tell it apart. src/pg maps each to one SQLSTATE.
enum class ErrorCode : std::uint8_t {
  kInvalidArgument,       // 22023: algorithm, size, label, name
  kInvalidText,           // 22021: text that is not valid UTF-8
  kNotAValue,             // 22P03: not a stored value, truncated, unknown suite
  kAuthenticationFailed,  // 22000: wrong context, wrong key or changed bytes
  kTooLarge,              // 54000
  kNotFound,              // 42704: no such key, DEK or token
  kExists,                // 42710: exists already, or more than one match
  kNotConfigured,         // 55000: a setting is missing, a file unusable, not set up
  kWrongKek,              // XX001: the key in the token is not the KEK of the row, or its attributes are weak
  kDamagedKey,            // XX001: a wrapped DEK is damaged or belongs to another row
  kTokenUnreachable,      // 58000: token absent, module missing, device removed
  kTokenRefused,          // 38000: the token said no; the CKR name is in the detail
  kOutOfMemory,           // 53200
  kInternal,              // XX000: a bug
  kNeedStart,             // never raised: start the module behind the gate, then run the body again
  kBusy,                  // never raised: let Failure::wait_ms pass, then do the same again
};

// A failure as plain bytes: trivially constructible and destructible, so that a longjmp may pass over it.
struct Failure {
  ErrorCode code;
  std::uint16_t wait_ms;  // kBusy only
  char message[256];
  char detail[320];  // empty: none
  char hint[320];    // empty: none
};
static_assert(std::is_trivially_destructible_v<Failure> &&
              std::is_trivially_default_constructible_v<Failure>);

class Error final : public std::exception {
 public:
  // Texts are cut to the sizes of Failure, at a character's border.
  Error(ErrorCode code, std::string_view message, std::string_view detail = {},
        std::string_view hint = {}) noexcept;

  // The same error with the token's return value (CK_RV), by which src/pkcs11 chooses how to recover.
  Error& WithTokenCode(unsigned long code) noexcept {
    token_code_ = code;
    return *this;
  }
  Error& WithWait(std::uint16_t milliseconds) noexcept {
    failure_.wait_ms = milliseconds;
    return *this;
  }

  ErrorCode code() const noexcept { return failure_.code; }
  unsigned long token_code() const noexcept { return token_code_; }  // 0: not from a token
  const Failure& failure() const noexcept { return failure_; }
  const char* what() const noexcept override { return failure_.message; }

 private:
  Failure failure_;
  unsigned long token_code_ = 0;
};

// Fills *failure from the exception that is being handled. For Contain only.
void DescribeCurrentException(Failure* failure) noexcept;

// Runs body, which may throw and must not longjmp. True: it returned. False: *failure says why it did not.
template <class Body>
[[nodiscard]] bool Contain(Failure* failure, Body&& body) noexcept {
  try {
    body();
    return true;
  } catch (...) {
    DescribeCurrentException(failure);
    return false;
  }
}

}  // namespace trustpoint::base
