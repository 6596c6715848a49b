// A process's way to one token: module, session, login, and the one policy of recovery.
//
// The core never waits. An operation that needs a start answers kNeedStart; the caller takes the cluster's
// start gate, blocks all signals, calls Start and runs the operation again. kBusy says: let some milliseconds
// pass, do it again. The budget of BeginOperation makes every such loop end.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "pkcs11/module.hpp"
#include "pkcs11/pin.hpp"
#include "pkcs11/retry.hpp"
#include "pkcs11/session.hpp"
#include "pkcs11/token.hpp"

namespace trustpoint::pkcs11 {

// What the settings say. A change takes effect at the next operation, by a new start.
struct Config {
  std::string module;       // absolute path of the library
  std::string environment;  // "NAME=value; NAME=value", set before the library loads
  std::string init_args;    // the reserved string of C_Initialize; empty: none
  std::string token;        // label or RFC 7512 URI; empty: the only initialised token
  std::string pin_file;
  bool operator==(const Config&) const = default;
};

// How far a start must bring the connection.
enum class Level : std::uint8_t {
  kModule,  // library loaded and initialised
  kToken,   // and the token found, a session open
  kLogin,   // and the user logged in
};

class Connection {
 public:
  // Makes the module of a configuration; a test brings its own.
  using MakeModule = std::function<std::unique_ptr<Module>(const Config&)>;

  // memo: where refused PINs are remembered for the whole cluster; outlives the connection.
  explicit Connection(PinMemo* memo);
  Connection(PinMemo* memo, MakeModule make_module);
  ~Connection();  // leaves module and sessions alone: see Module
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Cheap when nothing changed. Otherwise drops sessions and handles; the next operation asks for a start.
  void Configure(const Config& config);

  // A new budget of recoveries. Call it once before each run of the loop described above.
  void BeginOperation() noexcept;

  // Brings the connection to the level. Behind the gate and with signals blocked only.
  // Throws kNotConfigured, kNotFound (no such token), kExists (two match), kTokenUnreachable, kTokenRefused
  // (PIN), kBusy (the token was seen half-written: release the gate first, then wait).
  void Start(Level level);

  // Runs operation(session) at the level, under the recovery policy. The operation may run twice, so it must
  // be idempotent, or mark itself sent (Session::MarkSent), after which it is never run again. It must not
  // call Run, and must not keep the session. At kModule the session has no handle and serves for calls on
  // slots. Throws kNeedStart, kBusy, and whatever the operation throws.
  template <class Operation>
  auto Run(Level level, Operation&& operation) {
    for (;;) {
      Session& session = Enter(level);
      const Running running(*this);
      try {
        return operation(session);
      } catch (const base::Error& error) {
        Recover(error);  // returns when the operation shall run again at once, else throws
      } catch (...) {
        DropWork();
        throw;
      }
    }
  }

  // Sets the token's user PIN to new_pin, from the one in the PIN file, inside Run at kLogin, behind the
  // gate. Marks the session as sent. From then on the old PIN counts as refused, so that no backend sends it.
  // Throws kTokenRefused, kNotConfigured (the PIN file; the length of the new PIN).
  void ChangePin(Session& session, const Pin& new_pin, std::string_view setting);

  // The session that keeps the login, as the token sees it now; nullopt when there is none. Starts nothing.
  std::optional<CK_SESSION_INFO> SessionState() noexcept;

  // Logs out and closes the sessions; the module stays initialised. Never throws, and never touches a module
  // that this process did not initialise.
  void Release() noexcept;

  Level level() const noexcept { return level_; }  // meaningful when started()
  bool started() const noexcept;
  bool has_session() const noexcept { return anchor_ != nullptr; }
  std::uint64_t epoch() const noexcept {
    return epoch_;
  }  // grows whenever handles die: by a start, a logout, a stale handle
  const TokenInfo& token() const noexcept { return token_; }
  // How many files of SoftHSM tokens were found empty and put back since it was last asked: see
  // softhsm_files.hpp.
  int TakeMendedFiles() noexcept { return std::exchange(mended_files_, 0); }
  // The module; Level kModule must have been reached.
  Module& module() { return *module_; }

 private:
  // What one operation may still spend on recovery.
  struct Budget {
    int reopen = 1, refind = 1, login = 1, reinitialize = 1;
    int start_tries = kStartTries;
    unsigned waits = 0, waited_ms = 0;
  };
  class Running {
   public:
    explicit Running(Connection& connection) noexcept : connection_(connection) {
      connection_.running_ = true;
    }
    ~Running() { connection_.running_ = false; }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

   private:
    Connection& connection_;
  };

  static bool Spend(int* left) noexcept;

  // For Run.
  Session& Enter(Level level);
  void OpenWork();
  bool LoginLost(Session& session) const noexcept;
  void Recover(const base::Error& error);
  [[noreturn]] void RecoverLogin(const base::Error& error, bool may_rerun);
  [[noreturn]] void RecoverDevice(const base::Error& error, bool may_rerun);
  [[noreturn]] void WaitForResources(const base::Error& error, bool may_rerun);
  void DropWork() noexcept { work_.reset(); }
  void DropSessions() noexcept;

  // For Start.
  void Advance(Level level);
  void InitializeModule();
  void OpenToken();
  void Login();
  void SendPin(const Pin& pin);
  void RecoverStart(const base::Error& error);
  [[noreturn]] void WaitForToken(const base::Error& error);

  PinMemo* memo_;
  MakeModule make_module_;
  Config config_;
  Budget budget_;

  std::unique_ptr<Module> module_;
  std::unique_ptr<Session> anchor_;  // keeps the login, and does nothing else
  std::unique_ptr<Session> work_;    // one run of operations, until one fails
  TokenInfo token_;
  Level level_ = Level::kModule;
  std::uint64_t epoch_ = 0;

  bool replace_ = true;        // the configuration is newer than the module
  bool reinitialize_ = false;  // the module has lost the token
  bool fresh_ = false;         // initialised within this operation
  bool running_ = false;
  bool logged_in_ = false;    // by this connection's own C_Login
  bool shows_login_ = false;  // C_GetSessionInfo told of the login when it was new
  bool seen_ = false;         // this configuration's token was there before
  int mended_files_ = 0;
  std::optional<FileIdentity> pin_file_;  // of the last login since C_Initialize
};

}  // namespace trustpoint::pkcs11
