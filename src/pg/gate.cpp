#include "pg/gate.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "pg/shared_cache.hpp"
#include "pg/statistics.hpp"
#include "pg/wait.hpp"

extern "C" {
#include "storage/ipc.h"
#include "storage/latch.h"
}

namespace trustpoint::pg {
namespace {

// A file in the data directory, which is the working directory. Opened once per process: a flock belongs to
// the open file, so it must not be inherited or shared.
struct FileLock {
  const char* const path;
  int descriptor = -1;
  pid_t owner = 0;
};

FileLock start_gate = {"trustpoint.gate"};
FileLock turn = {"trustpoint.turn"};
bool has_turn = false;

int Descriptor(FileLock* lock) {
  if (lock->descriptor >= 0 && lock->owner == getpid()) return lock->descriptor;
  lock->descriptor = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock->descriptor < 0)
    ereport(ERROR,
            (errcode_for_file_access(), errmsg("could not open the lock file \"%s\": %m", lock->path)));
  lock->owner = getpid();
  return lock->descriptor;
}

std::uint64_t Nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

bool Try(FileLock* lock) {
  if (flock(Descriptor(lock), LOCK_EX | LOCK_NB) == 0) return true;
  if (errno != EWOULDBLOCK && errno != EINTR)
    ereport(ERROR, (errcode_for_file_access(), errmsg("could not lock \"%s\": %m", lock->path)));
  return false;
}

}  // namespace

void Pause(long milliseconds) {
  (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds,
                  WaitEvent(Wait::kGate));
  ResetLatch(MyLatch);
  CHECK_FOR_INTERRUPTS();
}

void TakeGate() {
  if (Try(&start_gate)) return;
  const std::uint64_t start = Nanoseconds();
  long wait = 1;
  do {
    Pause(wait);
    wait = std::min(wait + 1, 8L);
  } while (!Try(&start_gate));
  CountGateWait(Nanoseconds() - start);
}

bool TakeGateAtEnd() noexcept {
  if (start_gate.descriptor < 0 || start_gate.owner != getpid()) return false;
  for (int i = 0; i < 2000; ++i) {
    if (flock(start_gate.descriptor, LOCK_EX | LOCK_NB) == 0) return true;
    pg_usleep(1000);
  }
  return false;
}

void DropGate() { flock(start_gate.descriptor, LOCK_UN); }

bool TakeTurn(keyring::CachedDek* entry) {
  has_turn = Try(&turn);
  if (has_turn) return true;
  const std::uint64_t start = Nanoseconds();
  ConditionVariablePrepareToSleep(TurnEnds());
  while (!(has_turn = Try(&turn))) {
    // Not for ever: whoever dies in its turn tells nobody.
    const bool none_ended = ConditionVariableTimedSleep(TurnEnds(), 100, WaitEvent(Wait::kGate));
    if (!none_ended && TakeSharedDek(entry)) break;
  }
  ConditionVariableCancelSleep();
  CountGateWait(Nanoseconds() - start);
  return has_turn;
}

void DropTurn() {
  if (!has_turn) return;
  has_turn = false;
  flock(turn.descriptor, LOCK_UN);
  ConditionVariableBroadcast(TurnEnds());
}

}  // namespace trustpoint::pg
