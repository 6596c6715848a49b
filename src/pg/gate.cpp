#include "pg/gate.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>

#include "pg/postgres.hpp"
#include "pg/wait.hpp"

extern "C" {
#include "storage/ipc.h"
#include "storage/latch.h"
}

namespace trustpoint::pg {
namespace {

constexpr char kGateFile[] = "trustpoint.gate";  // the working directory is the data directory

// Opened once per process: a flock belongs to the open file, so it must not be inherited or shared.
int GateDescriptor() {
  static int descriptor = -1;
  static pid_t owner = 0;
  if (descriptor >= 0 && owner == getpid()) return descriptor;
  descriptor = open(kGateFile, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0)
    ereport(ERROR,
            (errcode_for_file_access(), errmsg("could not open the start gate \"%s\": %m", kGateFile)));
  owner = getpid();
  return descriptor;
}

}  // namespace

void Pause(long milliseconds) {
  (void)WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds,
                  WaitEvent(Wait::kGate));
  ResetLatch(MyLatch);
  CHECK_FOR_INTERRUPTS();
}

void TakeGate() {
  const int descriptor = GateDescriptor();
  long wait = 1;
  while (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      ereport(ERROR,
              (errcode_for_file_access(), errmsg("could not lock the start gate \"%s\": %m", kGateFile)));
    Pause(wait);
    wait = std::min(wait + 1, 8L);
  }
}

void DropGate() { flock(GateDescriptor(), LOCK_UN); }

}  // namespace trustpoint::pg
