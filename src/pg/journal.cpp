#include "pg/journal.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pg/gate.hpp"
#include "pkcs11/file.hpp"

extern "C" {
#include "access/xlog.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
}

namespace trustpoint::pg {
namespace {

using pkcs11::FileDescriptor;

constexpr char kJournalFile[] = "trustpoint.journal";  // the working directory is the data directory
constexpr std::uint32_t kMagic = 0x74706a31;           // "tpj1"

// Both are 128 bytes, so that no record crosses a sector.
struct Header {
  std::uint32_t crc, magic;
  // What a copy of the file has not.
  std::uint64_t device, inode, system, timeline;
  std::uint8_t unused[88];
};
struct Record {
  std::uint32_t crc;
  std::uint8_t kind, aborted, id_size, unused;
  std::uint8_t id[64];
  std::uint64_t xid;
  std::uint32_t database, table;
  char token_serial[16];
  std::uint8_t unused_too[24];
};
static_assert(sizeof(Header) == 128 && sizeof(Record) == 128);

template <class Block>
std::uint32_t Crc(const Block& block) {
  pg_crc32c crc;
  INIT_CRC32C(crc);
  COMP_CRC32C(crc, reinterpret_cast<const char*>(&block) + sizeof block.crc, sizeof block - sizeof block.crc);
  FIN_CRC32C(crc);
  return crc;
}

off_t OffsetOf(int slot) { return static_cast<off_t>(sizeof(Header) + slot * sizeof(Record)); }

template <class Block>
bool Read(int fd, off_t offset, Block* block) {
  return pread(fd, block, sizeof *block, offset) == static_cast<ssize_t>(sizeof *block);
}
template <class Block>
bool Write(int fd, off_t offset, Block* block) {
  block->crc = Crc(*block);
  return pwrite(fd, block, sizeof *block, offset) == static_cast<ssize_t>(sizeof *block) && pg_fsync(fd) == 0;
}

// A record that a crash cut off is none: its key was not made yet.
bool IsEntry(const Record& record) {
  return record.kind != 0 && record.id_size <= sizeof record.id && record.crc == Crc(record);
}

[[noreturn]] void RaiseUnusable(const char* what) {
  ereport(ERROR, (errcode_for_file_access(), errmsg("could not %s \"%s\": %m", what, kJournalFile)));
  pg_unreachable();
}

// Opened once per process: a flock belongs to the open file, so it must not be inherited or shared. -1:
// errno.
int Descriptor() {
  static int descriptor = -1;
  static pid_t owner = 0;
  if (descriptor >= 0 && owner == getpid()) return descriptor;
  descriptor = open(kJournalFile, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  owner = getpid();
  return descriptor;
}

// Held for some reads and writes of the file only, never while the token works.
bool TryLock(int fd) { return flock(fd, LOCK_EX | LOCK_NB) == 0; }
void Unlock(int fd) { flock(fd, LOCK_UN); }

int Lock() {
  const int fd = Descriptor();
  if (fd < 0) RaiseUnusable("open");
  while (!TryLock(fd)) {
    if (errno != EWOULDBLOCK && errno != EINTR) RaiseUnusable("lock");
    Pause(1);
  }
  return fd;
}

// The same where nothing may be interrupted: at the end of a transaction. -1: not within two seconds.
int LockAtEnd() {
  const int fd = Descriptor();
  if (fd < 0) return -1;
  for (int i = 0; i < 2000; ++i) {
    if (TryLock(fd)) return fd;
    pg_usleep(1000);
  }
  return -1;
}

std::uint64_t Timeline() {
#if PG_VERSION_NUM >= 150000
  return GetWALInsertionTimeLine();
#else
  return ThisTimeLineID;
#endif
}

Header OwnHeader(int fd) {
  struct stat file = {};
  (void)fstat(fd, &file);
  Header header = {};
  header.magic = kMagic;
  header.device = file.st_dev;
  header.inode = file.st_ino;
  header.system = GetSystemIdentifier();
  header.timeline = Timeline();
  header.crc = Crc(header);
  return header;
}

void ReportCopied(int fd) {
  Record record;
  for (int slot = 0; Read(fd, OffsetOf(slot), &record); ++slot)
    if (IsEntry(record)) JournalReport(ToKeyId({record.id, record.id_size}));
}

// Under the lock: begins the file anew unless it is this data directory's own. False: errno.
bool Prepare(int fd) {
  Header own = OwnHeader(fd), found;
  const bool there = Read(fd, 0, &found);
  if (there && memcmp(&own, &found, sizeof own) == 0) return true;
  if (there) ReportCopied(fd);
  if (ftruncate(fd, 0) != 0 || !Write(fd, 0, &own)) return false;
  const FileDescriptor folder(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return folder && pg_fsync(folder.get()) == 0;  // the file may be new in it
}

// Under the lock: the slot still holds what its maker wrote.
bool Holds(int fd, int slot, const KeyId& id, Record* record) {
  return Read(fd, OffsetOf(slot), record) && IsEntry(*record) && ToKeyId({record->id, record->id_size}) == id;
}

template <class Change>
bool ChangeAtEnd(int slot, const KeyId& id, Change change) {
  const int fd = LockAtEnd();
  if (fd < 0) return false;
  Record record;
  bool done = true;
  if (Holds(fd, slot, id, &record)) {
    change(&record);
    done = Write(fd, OffsetOf(slot), &record);
  }
  Unlock(fd);
  return done;
}

}  // namespace

int JournalAdd(const JournalEntry& entry) {
  Record record = {};
  record.kind = static_cast<std::uint8_t>(entry.kind);
  record.id_size = entry.id.size;
  base::Copy(record.id, entry.id.view());
  record.xid = entry.xid;
  record.database = entry.database;
  record.table = entry.table;
  memcpy(record.token_serial, entry.token_serial, sizeof record.token_serial);

  const int fd = Lock();
  int slot = -1;
  if (Prepare(fd)) {
    Record taken;
    for (slot = 0; Read(fd, OffsetOf(slot), &taken) && IsEntry(taken);) ++slot;
    if (!Write(fd, OffsetOf(slot), &record)) slot = -1;
  }
  const int error = errno;
  Unlock(fd);
  errno = error;
  if (slot < 0) RaiseUnusable("write");
  return slot;
}

bool JournalRemove(int slot, const KeyId& id) {
  return ChangeAtEnd(slot, id, [](Record* record) { *record = {}; });
}

bool JournalMarkAborted(int slot, const KeyId& id) {
  return ChangeAtEnd(slot, id, [](Record* record) { record->aborted = 1; });
}

void JournalReport(const KeyId& id) {
  char hex[2 * sizeof id.bytes + 1] = {};
  (void)hex_encode(reinterpret_cast<const char*>(id.bytes), id.size, hex);
  ereport(LOG, (errmsg("trustpoint: a key in the token may belong to a transaction that never ended"),
                errdetail("Its CKA_ID is %s. The journal or its table came by a copy, a recovery or a new "
                          "extension, or the database was dropped, so the key is left alone.",
                          hex),
                errhint("tp_hsm_keys() lists it; destroy it with tp_destroy_key when nobody else uses it.")));
}

JournalEntry* JournalRead(int* count, int** slots) {
  int room = 16;
  auto* entries = static_cast<JournalEntry*>(palloc(room * sizeof(JournalEntry)));
  *slots = static_cast<int*>(palloc(room * sizeof(int)));
  *count = 0;
  // Most servers never made a key; and a standby's journal is its primary's.
  if (access(kJournalFile, F_OK) != 0 || RecoveryInProgress()) return entries;
  const int fd = Lock();
  const bool ready = Prepare(fd);
  const int error = errno;
  Unlock(fd);
  errno = error;
  if (!ready) RaiseUnusable("write");

  // Without the lock, as palloc may fail: a record is read whole, and one that changes meanwhile is of
  // somebody who is still at it.
  Record record;
  for (int slot = 0; Read(fd, OffsetOf(slot), &record); ++slot) {
    if (!IsEntry(record)) continue;
    if (*count == room) {
      room *= 2;
      entries = static_cast<JournalEntry*>(repalloc(entries, room * sizeof(JournalEntry)));
      *slots = static_cast<int*>(repalloc(*slots, room * sizeof(int)));
    }
    (*slots)[*count] = slot;
    JournalEntry& entry = entries[(*count)++];
    entry = {static_cast<JournalEntry::Kind>(record.kind),
             record.aborted != 0,
             ToKeyId({record.id, record.id_size}),
             record.database,
             record.table,
             record.xid,
             {}};
    memcpy(entry.token_serial, record.token_serial, sizeof record.token_serial);
  }
  return entries;
}

}  // namespace trustpoint::pg
