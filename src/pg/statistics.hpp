// What tp_stat shows: counters of this process, plain numbers that cost next to nothing, added to those of
// the database in shared memory at the end of each transaction where the library is preloaded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "pkcs11/call_counts.hpp"
#include "pg/postgres.hpp"

extern "C" {
#include "utils/timestamp.h"
}

namespace trustpoint::pg {

enum class Call : std::uint8_t { kEncrypt, kDecrypt, kRewrap, kBlindIndex, kTpsecEncrypt, kTpsecDecrypt };
inline constexpr const char* kCallNames[] = {"encrypt",     "decrypt",       "rewrap",
                                             "blind_index", "tpsec_encrypt", "tpsec_decrypt"};

// Where a DEK was found: in this backend, in the shared cache, or by unwrapping it on the token.
enum class Found : std::uint8_t { kInBackend, kShared, kOnToken };
inline constexpr const char* kFoundNames[] = {"backend", "shared", "token"};

// The SQLSTATEs of the README; the last stands for all others.
inline constexpr const char* kFailureNames[] = {"22000", "22004", "22021", "22023", "22P03", "22P05",
                                                "38000", "42501", "42704", "42710", "53200", "54000",
                                                "55000", "58000", "XX000", "XX001", "other"};

// Only 64-bit numbers: it is added and cleared as an array of them.
struct Counters {
  struct {
    std::uint64_t count, bytes;
  } calls[std::size(kCallNames)];
  std::uint64_t found[std::size(kFoundNames)];
  struct {
    std::uint64_t count, nanoseconds;
  } gate;  // waits for the gate or the turn
  std::uint64_t failures[std::size(kFailureNames)];
  pkcs11::CallCounts token;  // the last: see AddStatistics
};
inline constexpr std::size_t kCounters = sizeof(Counters) / sizeof(std::uint64_t);

namespace internal {
extern Counters counters;
}

inline void CountCall(Call call, std::size_t bytes) {
  auto& counter = internal::counters.calls[static_cast<std::size_t>(call)];
  ++counter.count;
  counter.bytes += bytes;
}
inline void CountFound(Found found) { ++internal::counters.found[static_cast<std::size_t>(found)]; }
inline void CountGateWait(std::uint64_t nanoseconds) {
  ++internal::counters.gate.count;
  internal::counters.gate.nanoseconds += nanoseconds;
}

void PrepareStatistics();  // from _PG_init: hooks, where the library is preloaded
void AddStatistics();      // at the end of a transaction. Cannot fail.
// Its numbers go to those without a name, and its room to the next. For a database that is dropped, so that
// nobody counts there. Cannot fail.
void GiveStatisticsUp(Oid database);

// Whether there are numbers of the server; otherwise they are those of this session.
bool StatisticsAreShared();
TimestampTz StatisticsSince();
void ResetStatistics();

// The numbers of one database after another, from *position 0; false: no more. InvalidOid: of all databases
// for which there was no room.
bool NextStatistics(int* position, Oid* database, Counters* counters);

}  // namespace trustpoint::pg
