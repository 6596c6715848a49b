#include <gtest/gtest.h>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "base/secret.hpp"

namespace trustpoint::base {
namespace {

constexpr Block<3> kBytes = {1, 2, 3};

bool AllZero(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

std::size_t PageSize() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

// The first byte of the arena that address lies in: arenas are mappings of their own, between guard pages.
std::uint8_t* ArenaOf(const std::uint8_t* address, bool end) {
  const auto number = reinterpret_cast<std::uintptr_t>(address);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::size_t dash = 0;
    const std::uintptr_t from = std::stoull(line, &dash, 16);
    const std::uintptr_t to = std::stoull(line.substr(dash + 1), nullptr, 16);
    if (from <= number && number < to) return reinterpret_cast<std::uint8_t*>(end ? to : from);
  }
  return nullptr;
}

// The VmFlags of the mapping that holds address.
std::string MappingFlags(const std::uint8_t* address) {
  const auto wanted = reinterpret_cast<std::uintptr_t>(ArenaOf(address, false));
  std::ifstream smaps("/proc/self/smaps");
  bool found = false;
  for (std::string line; std::getline(smaps, line);) {
    if (line.find('-') != std::string::npos && line.find(':') > line.find('-') &&
        std::isxdigit(static_cast<unsigned char>(line[0])) != 0)
      found = std::stoull(line, nullptr, 16) == wanted;
    if (found && line.starts_with("VmFlags:")) return line + " ";
  }
  return "";
}

TEST(Secret, CopiesTheBytesItIsGiven) {
  const Secret secret{Bytes(kBytes)};
  EXPECT_TRUE(std::ranges::equal(secret.view(), kBytes));
  EXPECT_NE(secret.view().data(), kBytes.data());
}

TEST(Secret, OfASizeStartsAsZerosEvenInMemoryThatWasUsed) {
  for (int round = 0; round < 3; ++round) {
    Secret secret(100);
    EXPECT_TRUE(AllZero(secret.view()));
    std::ranges::fill(secret.bytes(), std::uint8_t{0xAA});
  }
}

TEST(Secret, OfNothingOwnsNothing) {
  const std::size_t used = SecretMemory().used;
  const Secret empty(std::size_t{0});
  EXPECT_EQ(empty.size(), 0U);
  EXPECT_EQ(SecretMemory().used, used);
}

TEST(Secret, LargerThanTheLimitIsRefused) {
  EXPECT_NO_THROW(Secret{Secret::kMaxSize});
  EXPECT_THROW(Secret{Secret::kMaxSize + 1}, std::bad_alloc);
}

TEST(Secret, MovesWithoutCopying) {
  Secret first{Bytes(kBytes)};
  const std::uint8_t* address = first.view().data();
  Secret second(std::move(first));
  EXPECT_EQ(second.view().data(), address);
  EXPECT_EQ(first.size(), 0U);  // NOLINT: what a moved-from Secret promises
}

TEST(Secret, MoveAssignmentWipesWhatItReplaces) {
  Secret target{Bytes(kBytes)};
  const Bytes old = target.view();
  Secret source{Bytes(kBytes)};
  target = std::move(source);
  EXPECT_TRUE(AllZero(old));
  EXPECT_TRUE(std::ranges::equal(target.view(), kBytes));
}

TEST(Secret, MoveAssignmentToItselfKeepsTheBytes) {
  Secret secret{Bytes(kBytes)};
  Secret& same = secret;
  secret = std::move(same);
  EXPECT_TRUE(std::ranges::equal(secret.view(), kBytes));
}

TEST(Secret, IsWipedWhenItDies) {
  Bytes bytes;
  {
    const Secret secret{Bytes(kBytes)};
    bytes = secret.view();
  }
  EXPECT_TRUE(AllZero(bytes));  // the arena stays mapped
}

TEST(Secret, IsWipedByResetWhichMayBeCalledTwice) {
  Secret secret{Bytes(kBytes)};
  const Bytes bytes = secret.view();
  secret.Reset();
  secret.Reset();
  EXPECT_EQ(secret.size(), 0U);
  EXPECT_TRUE(AllZero(bytes));
}

TEST(Secret, GivesItsMemoryBack) {
  const SecretMemoryStatus before = SecretMemory();
  for (int round = 0; round < 10000; ++round) {
    const Secret small(std::size_t{1});
    const Secret large(Secret::kMaxSize);
  }
  EXPECT_EQ(SecretMemory().used, before.used);
  EXPECT_LE(SecretMemory().reserved, std::max<std::size_t>(before.reserved, 64 * 1024));
}

TEST(Secret, MemoryGrowsBeyondOneArenaAndNoTwoSecretsOverlap) {
  const std::size_t used = SecretMemory().used;
  {
    std::vector<Secret> secrets;
    for (std::size_t i = 0; i < 100; ++i) {
      secrets.emplace_back(Secret::kMaxSize);
      std::ranges::fill(secrets.back().bytes(), static_cast<std::uint8_t>(i));
    }
    EXPECT_GE(SecretMemory().reserved, 100 * Secret::kMaxSize);
    EXPECT_EQ(SecretMemory().used, used + 100 * Secret::kMaxSize);
    for (std::size_t i = 0; i < 100; ++i)
      EXPECT_TRUE(std::ranges::all_of(secrets[i].view(), [i](std::uint8_t byte) { return byte == i; })) << i;
  }
  EXPECT_EQ(SecretMemory().used, used);
}

TEST(Secret, SmallOnesFitBetweenOthersOnceFreed) {
  std::vector<Secret> secrets;
  for (int i = 0; i < 64; ++i) secrets.emplace_back(std::size_t{32});
  const std::size_t reserved = SecretMemory().reserved;
  const std::uint8_t* hole = secrets[20].view().data();
  secrets[20].Reset();
  const Secret again(std::size_t{20});
  EXPECT_EQ(again.view().data(), hole);
  EXPECT_EQ(SecretMemory().reserved, reserved);
}

TEST(Secret, LivesInMemoryThatIsLeftOutOfCoreDumpsAndEmptyAfterAFork) {
  const Secret secret{Bytes(kBytes)};
  const std::string flags = MappingFlags(secret.view().data());
  EXPECT_NE(flags.find(" dd "), std::string::npos) << flags;  // MADV_DONTDUMP
  EXPECT_NE(flags.find(" wf "), std::string::npos) << flags;  // MADV_WIPEONFORK
// AddressSanitizer turns mlock into nothing.
#ifndef __SANITIZE_ADDRESS__
  EXPECT_EQ(flags.find(" lo ") != std::string::npos, SecretMemory().locked) << flags;
#endif
}

TEST(Secret, IsZerosInAForkedChild) {
  const Secret secret{Bytes(kBytes)};
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(secret.size() == 3 && AllZero(secret.view()) ? 0 : 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_TRUE(std::ranges::equal(secret.view(), kBytes));
}

TEST(Secret, OfAForkedChildIsLockedThereToo) {
  const Secret secret{Bytes(kBytes)};
  if (!SecretMemory().locked) GTEST_SKIP() << "memory cannot be locked here";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const Secret own{Bytes(kBytes)};
    const bool locked = MappingFlags(own.view().data()).find(" lo ") != std::string::npos;
    _exit(locked && SecretMemory().locked ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(SecretDeathTest, GuardPagesStandBeforeAndBehindTheArena) {
  Secret secret{Bytes(kBytes)};
  volatile std::uint8_t* first = ArenaOf(secret.view().data(), false);
  volatile std::uint8_t* end = ArenaOf(secret.view().data(), true);
  ASSERT_EQ(static_cast<std::size_t>(end - first) % PageSize(), 0U);
  first[0] = first[0];
  end[-1] = end[-1];
  EXPECT_DEATH(first[-1] = 1, "");
  EXPECT_DEATH(end[0] = 1, "");
}

}  // namespace
}  // namespace trustpoint::base
