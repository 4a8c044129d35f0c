#include "os/page_watch.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

#include "os/memory_calls.h"
#include "tests/support/child.h"
#include "tests/support/descriptors.h"
#include "tests/support/refuse.h"

namespace acre::os {
namespace {

using testing::ChildResult;
using testing::CountOpen;
using testing::IsOpen;
using testing::OpenDescriptors;
using testing::OpenedSince;
using testing::Refuse;
using testing::RunInChild;
using Then = PageWatch::Then;
using Numbers = std::vector<size_t>;

constexpr int kHighNumber = 512;

// Private anonymous pages, as a heap's.
class Pages {
 public:
  static constexpr size_t kPlace = 77;  // Where Write writes in a page.

  explicit Pages(size_t count) : count_(count) {
    void* memory = mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    base_ = static_cast<uint8_t*>(memory);
    (void)madvise(base_, bytes(), MADV_NOHUGEPAGE);
  }
  ~Pages() { munmap(base_, bytes()); }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;

  size_t count() const { return count_; }
  size_t bytes() const { return count_ * OsPageBytes(); }
  uint8_t* at(size_t number) const { return base_ + number * OsPageBytes(); }
  uintptr_t base() const { return reinterpret_cast<uintptr_t>(base_); }
  uintptr_t limit() const { return base() + bytes(); }
  size_t NumberOf(uintptr_t address) const { return (address - base()) / OsPageBytes(); }

  void Write(size_t number) const {
    auto* const byte = static_cast<volatile uint8_t*>(at(number) + kPlace);
    *byte = static_cast<uint8_t>(*byte + 1);
  }
  void WriteAll() const {
    for (size_t number = 0; number < count_; ++number) Write(number);
  }

 private:
  const size_t count_;
  uint8_t* base_;
};

// The numbers of the pages that a scan finds, in the order in which it says so.
struct Found {
  int error = 0;
  Numbers numbers;
};

Found ScanPart(const PageWatch& watch, const Pages& pages, size_t first, size_t behind, Then then) {
  struct Call {
    const Pages& pages;
    Numbers numbers;
  } call{pages, {}};
  Found found;
  const auto visit = [](void* context, uintptr_t base, uintptr_t limit) {
    auto& [all, numbers] = *static_cast<Call*>(context);
    for (uintptr_t page = base; page < limit; page += OsPageBytes()) numbers.push_back(all.NumberOf(page));
  };
  found.error = watch.Scan(pages.base() + first * OsPageBytes(), pages.base() + behind * OsPageBytes(), then, &call, visit);
  found.numbers = call.numbers;
  return found;
}

Found ScanPages(const PageWatch& watch, const Pages& pages, Then then) {
  return ScanPart(watch, pages, 0, pages.count(), then);
}

Numbers AllOf(const Pages& pages) {
  Numbers numbers(pages.count());
  std::iota(numbers.begin(), numbers.end(), size_t{0});
  return numbers;
}

// Written, added and armed.
int Watch(const PageWatch& watch, const Pages& pages) {
  pages.WriteAll();
  const int error = watch.Add(pages.base(), pages.bytes());
  return error != 0 ? error : watch.Arm(pages.base(), pages.limit());
}

// What kernels and sandboxes may say that do not have it. Anything else is a failure.
bool IsRefusal(int error) {
  return error == EPERM || error == EACCES || error == ENOSYS || error == EINVAL || error == ENOTSUP;
}

class PageWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::set<int> before = OpenDescriptors();
    const int error = watch_.Open();
    if (IsRefusal(error)) GTEST_SKIP() << "pages cannot be watched here: " << std::strerror(error);
    ASSERT_EQ(error, 0);
    descriptors_ = OpenedSince(before);
    ASSERT_EQ(descriptors_.size(), 2u);
  }

  Numbers Find(const Pages& pages, Then then) const {
    const Found found = ScanPages(watch_, pages, then);
    EXPECT_EQ(found.error, 0);
    return found.numbers;
  }

  PageWatch watch_;
  std::vector<int> descriptors_;
};

// ---- What is found --------------------------------------------------------------------------------------------------

TEST_F(PageWatchTest, AWrittenPageIsFoundOnceAndNotAgain) {
  const Pages pages(16);
  ASSERT_EQ(Watch(watch_, pages), 0);
  EXPECT_EQ(Find(pages, Then::kArm), Numbers{});
  pages.Write(3);
  pages.Write(15);
  EXPECT_EQ(Find(pages, Then::kArm), (Numbers{3, 15}));
  EXPECT_EQ(Find(pages, Then::kArm), Numbers{});
  pages.Write(3);
  EXPECT_EQ(Find(pages, Then::kArm), Numbers{3});
}

TEST_F(PageWatchTest, ItIsFoundAgainUntilItIsArmed) {
  const Pages pages(16);
  ASSERT_EQ(Watch(watch_, pages), 0);
  pages.Write(0);
  pages.Write(1);
  EXPECT_EQ(Find(pages, Then::kLeave), (Numbers{0, 1}));
  EXPECT_EQ(Find(pages, Then::kLeave), (Numbers{0, 1}));
  ASSERT_EQ(watch_.Arm(pages.base(), pages.base() + OsPageBytes()), 0);
  EXPECT_EQ(Find(pages, Then::kLeave), Numbers{1});
}

TEST_F(PageWatchTest, ReadingIsNotWriting) {
  const Pages pages(16);
  ASSERT_EQ(Watch(watch_, pages), 0);
  size_t sum = 0;
  for (size_t number = 0; number < pages.count(); ++number) {
    sum += *static_cast<volatile uint8_t*>(pages.at(number) + Pages::kPlace);
  }
  EXPECT_EQ(sum, pages.count());
  EXPECT_EQ(Find(pages, Then::kLeave), Numbers{});
}

TEST_F(PageWatchTest, WhatWasNeverArmedCountsAsWritten) {
  const Pages pages(16);
  ASSERT_EQ(watch_.Add(pages.base(), pages.bytes()), 0);
  EXPECT_EQ(Find(pages, Then::kLeave), AllOf(pages)) << "untouched";
  pages.WriteAll();
  EXPECT_EQ(Find(pages, Then::kLeave), AllOf(pages));
  ASSERT_EQ(watch_.Arm(pages.base() + 4 * OsPageBytes(), pages.limit()), 0);
  EXPECT_EQ(Find(pages, Then::kArm), (Numbers{0, 1, 2, 3}));
  EXPECT_EQ(Find(pages, Then::kArm), Numbers{});
}

TEST_F(PageWatchTest, PagesThatWereArmedUntouchedAreFoundWhenTheyAreWritten) {
  const Pages pages(16);
  ASSERT_EQ(watch_.Add(pages.base(), pages.bytes()), 0);
  ASSERT_EQ(watch_.Arm(pages.base(), pages.limit()), 0);
  EXPECT_EQ(Find(pages, Then::kLeave), Numbers{});
  pages.Write(5);
  EXPECT_EQ(Find(pages, Then::kLeave), Numbers{5});
}

TEST_F(PageWatchTest, OtherPagesAreNotArmedNorFound) {
  const Pages pages(16);
  ASSERT_EQ(Watch(watch_, pages), 0);
  pages.WriteAll();
  const Found found = ScanPart(watch_, pages, 5, 8, Then::kArm);
  EXPECT_EQ(found.error, 0);
  EXPECT_EQ(found.numbers, (Numbers{5, 6, 7}));
  EXPECT_EQ(Find(pages, Then::kLeave), (Numbers{0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15}));
}

TEST_F(PageWatchTest, WhatTheKernelWritesForASystemCallIsFound) {
  const Pages pages(16);
  ASSERT_EQ(Watch(watch_, pages), 0);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "abcd", 4), 4);
  ASSERT_EQ(read(ends[0], pages.at(2), 4), 4);
  int sockets[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
  ASSERT_EQ(send(sockets[0], "efgh", 4, 0), 4);
  ASSERT_EQ(recv(sockets[1], pages.at(7) - 2, 4, 0), 4);  // Over the end of a page.
  ASSERT_EQ(getrandom(pages.at(9), 16, 0), 16);
  const int file = open("/proc/self/exe", O_RDONLY);
  ASSERT_GE(file, 0);
  ASSERT_EQ(pread(file, pages.at(12), 2 * OsPageBytes(), 0), static_cast<ssize_t>(2 * OsPageBytes()));
  struct stat status;
  ASSERT_EQ(syscall(SYS_newfstatat, file, "", pages.at(15), AT_EMPTY_PATH), 0);
  std::memcpy(&status, pages.at(15), sizeof status);
  EXPECT_GT(status.st_size, 0);
  EXPECT_EQ(std::memcmp(pages.at(2), "abcd", 4), 0);
  EXPECT_EQ(std::memcmp(pages.at(7) - 2, "efgh", 4), 0);
  EXPECT_EQ(Find(pages, Then::kArm), (Numbers{2, 6, 7, 9, 12, 13, 15}));
  EXPECT_EQ(Find(pages, Then::kArm), Numbers{});
  for (const int number : {ends[0], ends[1], sockets[0], sockets[1], file}) close(number);
}

// One call of the kernel's tells of 256: fewer, just as many, and more.
TEST_F(PageWatchTest, AnyNumberOfScatteredPagesIsFoundExactly) {
  constexpr size_t kMostRegions = 2000;
  const Pages pages(2 * kMostRegions + 1);
  ASSERT_EQ(Watch(watch_, pages), 0);
  for (const size_t regions : Numbers{1, 255, 256, 257, 512, 513, kMostRegions}) {
    Numbers expected;
    for (size_t i = 0; i < regions; ++i) expected.push_back(2 * i + 1);
    for (const size_t number : expected) pages.Write(number);
    EXPECT_EQ(Find(pages, Then::kLeave), expected) << regions;
    EXPECT_EQ(Find(pages, Then::kArm), expected) << regions;
    EXPECT_EQ(Find(pages, Then::kArm), Numbers{}) << regions;
  }
}

// The last region ends where the range does, and is the last of a full answer.
TEST_F(PageWatchTest, AFullAnswerMayEndWithTheRange) {
  const Pages pages(2 * 256);
  ASSERT_EQ(Watch(watch_, pages), 0);
  Numbers expected;
  for (size_t number = 1; number < pages.count(); number += 2) expected.push_back(number);
  for (const size_t number : expected) pages.Write(number);
  EXPECT_EQ(Find(pages, Then::kArm), expected);
  EXPECT_EQ(Find(pages, Then::kArm), Numbers{});
}

// What is copied of found pages alone is what stands in memory when the writer rests.
TEST_F(PageWatchTest, NoWriteIsLostBesideAWriter) {
  constexpr size_t kPages = 1000;
  constexpr int kRounds = 300;
  const Pages pages(kPages);
  ASSERT_EQ(Watch(watch_, pages), 0);
  const auto word = [&](size_t number) { return reinterpret_cast<uint64_t*>(pages.at(number)); };
  std::vector<uint64_t> copy(kPages);
  for (size_t number = 0; number < kPages; ++number) copy[number] = *word(number);
  std::atomic<bool> is_over = false;
  std::atomic<uint64_t> writes = 0;
  std::thread writer([&] {
    uint64_t state = 1;
    while (!is_over) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      __atomic_store_n(word((state >> 33) % kPages), state, __ATOMIC_RELAXED);
      writes.store(writes + 1, std::memory_order_relaxed);
    }
  });
  size_t found = 0;
  const auto take = [&] {
    for (const size_t number : Find(pages, Then::kArm)) {
      copy[number] = __atomic_load_n(word(number), __ATOMIC_RELAXED);
      ++found;
    }
  };
  while (writes == 0) std::this_thread::yield();
  for (int round = 0; round < kRounds; ++round) take();
  is_over = true;
  writer.join();
  take();
  EXPECT_GT(found, 0u);
  for (size_t number = 0; number < kPages; ++number) ASSERT_EQ(copy[number], *word(number)) << number;
}

// ---- Ranges that change ---------------------------------------------------------------------------------------------

TEST_F(PageWatchTest, ADiscardedRangeCountsAsWrittenUntilItIsArmedAgain) {
  const Pages pages(16);
  ASSERT_EQ(Watch(watch_, pages), 0);
  ASSERT_EQ(madvise(pages.at(4), 3 * OsPageBytes(), MADV_DONTNEED), 0);
  EXPECT_EQ(Find(pages, Then::kLeave), (Numbers{4, 5, 6}));
  pages.Write(5);
  EXPECT_EQ(Find(pages, Then::kArm), (Numbers{4, 5, 6}));
  EXPECT_EQ(Find(pages, Then::kArm), Numbers{});
  pages.Write(6);
  EXPECT_EQ(Find(pages, Then::kArm), Numbers{6});
}

TEST_F(PageWatchTest, AProtectedRangeStaysWatched) {
  const Pages pages(16);
  ASSERT_EQ(Watch(watch_, pages), 0);
  pages.Write(5);
  for (const int protection : {PROT_NONE, PROT_READ}) {
    ASSERT_EQ(mprotect(pages.at(4), 4 * OsPageBytes(), protection), 0);
    EXPECT_EQ(Find(pages, Then::kLeave), Numbers{5});
    ASSERT_EQ(mprotect(pages.at(4), 4 * OsPageBytes(), PROT_READ | PROT_WRITE), 0);
    EXPECT_EQ(Find(pages, Then::kLeave), Numbers{5});
  }
  pages.Write(6);
  EXPECT_EQ(Find(pages, Then::kArm), (Numbers{5, 6}));
  EXPECT_EQ(Find(pages, Then::kArm), Numbers{});
  pages.Write(4);
  EXPECT_EQ(Find(pages, Then::kArm), Numbers{4});
}

// As memory is decommitted and committed again.
TEST_F(PageWatchTest, ARangeThatIsDiscardedAndProtectedMeanwhileStaysWatched) {
  const Pages pages(16);
  ASSERT_EQ(Watch(watch_, pages), 0);
  ASSERT_EQ(madvise(pages.at(4), 4 * OsPageBytes(), MADV_DONTNEED), 0);
  ASSERT_EQ(mprotect(pages.at(4), 4 * OsPageBytes(), PROT_NONE), 0);
  ASSERT_EQ(mprotect(pages.at(4), 4 * OsPageBytes(), PROT_READ | PROT_WRITE), 0);
  ASSERT_EQ(watch_.Arm(pages.base(), pages.limit()), 0);
  pages.Write(6);
  pages.Write(9);
  EXPECT_EQ(Find(pages, Then::kArm), (Numbers{6, 9}));
}

TEST_F(PageWatchTest, WhereMemoryWasMappedAnewScansAndArmingFail) {
  const Pages pages(16);
  ASSERT_EQ(Watch(watch_, pages), 0);
  ASSERT_EQ(mmap(pages.at(4), OsPageBytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
            pages.at(4));
  EXPECT_NE(ScanPages(watch_, pages, Then::kLeave).error, 0);
  EXPECT_NE(ScanPages(watch_, pages, Then::kArm).error, 0);
  EXPECT_NE(watch_.Arm(pages.base(), pages.limit()), 0);
  ASSERT_EQ(watch_.Add(pages.base(), pages.bytes()), 0) << "added anew";
  ASSERT_EQ(watch_.Arm(pages.base(), pages.limit()), 0);
  pages.Write(4);
  pages.Write(8);
  EXPECT_EQ(Find(pages, Then::kLeave), (Numbers{4, 8}));
}

// There is nothing that could be written; what is mapped there later is not watched.
TEST_F(PageWatchTest, UnmappedMemoryIsSkippedUntilSomethingIsMappedThere) {
  const Pages pages(16);
  ASSERT_EQ(Watch(watch_, pages), 0);
  pages.Write(3);
  pages.Write(4);
  pages.Write(9);
  ASSERT_EQ(munmap(pages.at(4), OsPageBytes()), 0);
  EXPECT_EQ(Find(pages, Then::kLeave), (Numbers{3, 9}));
  EXPECT_EQ(Find(pages, Then::kArm), (Numbers{3, 9}));
  EXPECT_EQ(watch_.Arm(pages.base(), pages.limit()), 0);
  ASSERT_EQ(mmap(pages.at(4), OsPageBytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
            pages.at(4));
  EXPECT_NE(ScanPages(watch_, pages, Then::kLeave).error, 0);
  EXPECT_NE(watch_.Arm(pages.base(), pages.limit()), 0);
}

TEST_F(PageWatchTest, WhatWasNotAddedCanNeitherBeArmedNorScanned) {
  const Pages pages(16);
  pages.WriteAll();
  EXPECT_NE(watch_.Arm(pages.base(), pages.limit()), 0);
  EXPECT_NE(ScanPages(watch_, pages, Then::kLeave).error, 0);
  EXPECT_NE(ScanPages(watch_, pages, Then::kArm).error, 0);
}

TEST_F(PageWatchTest, TwoDoNotWatchTheSameMemory) {
  const Pages pages(16);
  PageWatch other;
  ASSERT_EQ(other.Open(), 0);
  ASSERT_EQ(Watch(watch_, pages), 0);
  EXPECT_NE(other.Add(pages.base(), pages.bytes()), 0);
  watch_.Close();
  EXPECT_EQ(Watch(other, pages), 0) << "given up by the first";
}

TEST_F(PageWatchTest, OpenedAnewItHasForgottenItsRanges) {
  const Pages pages(16);
  ASSERT_EQ(Watch(watch_, pages), 0);
  ASSERT_EQ(watch_.Open(), 0);
  EXPECT_TRUE(watch_.IsIntact());
  EXPECT_NE(ScanPages(watch_, pages, Then::kLeave).error, 0);
  ASSERT_EQ(watch_.Add(pages.base(), pages.bytes()), 0);
  EXPECT_EQ(Find(pages, Then::kArm), AllOf(pages)) << "nothing is armed any more";
  pages.Write(3);
  EXPECT_EQ(Find(pages, Then::kArm), Numbers{3});
}

// ---- The descriptors ------------------------------------------------------------------------------------------------

TEST_F(PageWatchTest, DescriptorsAreCloseOnExecAndHighWhereTheyMayBe) {
  rlimit limit;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  for (const int number : descriptors_) {
    EXPECT_NE(fcntl(number, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_TRUE(number >= kHighNumber || limit.rlim_cur < kHighNumber + 2) << number;
  }
  const ChildResult result = RunInChild([] {
    const rlimit low{100, 100};
    if (setrlimit(RLIMIT_NOFILE, &low) != 0) return 1;
    const std::set<int> before = OpenDescriptors();
    PageWatch watch;
    if (watch.Open() != 0) return 2;
    const std::vector<int> opened = OpenedSince(before);
    if (opened.size() != 2) return 3;
    for (const int number : opened) {
      if ((fcntl(number, F_GETFD) & FD_CLOEXEC) == 0) return 4;
    }
    const Pages pages(4);
    if (Watch(watch, pages) != 0) return 5;
    pages.Write(2);
    return ScanPages(watch, pages, Then::kArm).numbers == Numbers{2} && watch.IsIntact() ? 0 : 6;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST_F(PageWatchTest, IntactFromOpenToClose) {
  PageWatch fresh;
  EXPECT_FALSE(fresh.IsIntact());
  EXPECT_TRUE(watch_.IsIntact());
  watch_.Close();
  EXPECT_FALSE(watch_.IsIntact());
  for (const int number : descriptors_) EXPECT_FALSE(IsOpen(number));
  watch_.Close();
  ASSERT_EQ(watch_.Open(), 0);
  EXPECT_TRUE(watch_.IsIntact());
}

TEST_F(PageWatchTest, AChildHasNoneOfItsOwn) {
  const ChildResult result = RunInChild([&] { return watch_.IsIntact() ? 1 : 0; });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_TRUE(watch_.IsIntact());
}

TEST_F(PageWatchTest, AChildOfAChildHasNoneEither) {
  const ChildResult result = RunInChild([&] {
    const ChildResult inner = RunInChild([&] { return watch_.IsIntact() ? 1 : 0; });
    if (!inner.exited_with(0)) return 2;
    if (watch_.Open() != 0 || !watch_.IsIntact()) return 3;
    const ChildResult later = RunInChild([&] { return watch_.IsIntact() ? 1 : 0; });
    return later.exited_with(0) && watch_.IsIntact() ? 0 : 4;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST_F(PageWatchTest, AChildThatOpensItAnewTakesNothingOfItsParent) {
  const Pages pages(16);
  ASSERT_EQ(Watch(watch_, pages), 0);
  pages.Write(3);
  pages.Write(8);
  const ChildResult result = RunInChild([&] {
    if (watch_.Open() != 0) return 1;
    if (Watch(watch_, pages) != 0) return 2;
    pages.Write(5);
    const Found found = ScanPages(watch_, pages, Then::kArm);
    if (found.error != 0 || found.numbers != Numbers{5}) return 3;
    return ScanPages(watch_, pages, Then::kArm).numbers.empty() ? 0 : 4;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_TRUE(watch_.IsIntact());
  EXPECT_EQ(Find(pages, Then::kArm), (Numbers{3, 8}));
  EXPECT_EQ(Find(pages, Then::kArm), Numbers{});
}

TEST_F(PageWatchTest, AParentGoesOnWhileItsChildLives) {
  const Pages pages(16);
  ASSERT_EQ(Watch(watch_, pages), 0);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    close(ends[1]);
    char byte;
    (void)!read(ends[0], &byte, 1);  // Until the parent closes its end, or is gone.
    _exit(0);
  }
  pages.Write(3);  // A copy.
  EXPECT_EQ(Find(pages, Then::kArm), Numbers{3});
  pages.Write(3);
  EXPECT_EQ(Find(pages, Then::kArm), Numbers{3});
  close(ends[0]);
  close(ends[1]);
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
}

TEST_F(PageWatchTest, ClosedByTheProgramItIsNotIntactAndCanBeOpenedAnew) {
  for (size_t which = 0; which < 2; ++which) {
    const std::set<int> before = OpenDescriptors();
    PageWatch watch;
    ASSERT_EQ(watch.Open(), 0);
    const std::vector<int> opened = OpenedSince(before);
    const Pages pages(4);
    ASSERT_EQ(Watch(watch, pages), 0);
    close(opened[which]);
    EXPECT_FALSE(watch.IsIntact());
    EXPECT_NE(ScanPages(watch, pages, Then::kLeave).error, 0);
    EXPECT_NE(watch.Arm(pages.base(), pages.limit()), 0);
    ASSERT_EQ(watch.Open(), 0);
    EXPECT_TRUE(watch.IsIntact());
    EXPECT_EQ(OpenedSince(before).size(), 2u);
    ASSERT_EQ(Watch(watch, pages), 0);
    pages.Write(1);
    EXPECT_EQ(ScanPages(watch, pages, Then::kArm).numbers, Numbers{1});
  }
}

// Another file in a descriptor's place: it is the program's, whoever closes.
TEST_F(PageWatchTest, WhatTookADescriptorsPlaceIsLeftAlone) {
  enum class By { kClose, kOpen, kDestructor };
  for (size_t which = 0; which < 2; ++which) {
    for (const By by : {By::kClose, By::kOpen, By::kDestructor}) {
      const std::set<int> before = OpenDescriptors();
      int place;
      {
        PageWatch watch;
        ASSERT_EQ(watch.Open(), 0);
        place = OpenedSince(before)[which];
        const int file = open("/dev/null", O_RDONLY);
        ASSERT_GE(file, 0);
        ASSERT_EQ(dup2(file, place), place);
        close(file);
        EXPECT_FALSE(watch.IsIntact());
        if (by == By::kClose) watch.Close();
        if (by == By::kOpen) {
          ASSERT_EQ(watch.Open(), 0);
          EXPECT_TRUE(watch.IsIntact());
          watch.Close();
        }
      }
      struct stat status;
      ASSERT_EQ(fstat(place, &status), 0);
      EXPECT_TRUE(S_ISCHR(status.st_mode));
      EXPECT_EQ(OpenedSince(before), std::vector<int>{place});
      close(place);
    }
  }
}

// A descriptor of the same sort.
TEST_F(PageWatchTest, AnotherOnesDescriptorIsNotItsOwn) {
  const std::set<int> before = OpenDescriptors();
  PageWatch other;
  ASSERT_EQ(other.Open(), 0);
  const std::vector<int> others = OpenedSince(before);
  for (size_t which = 0; which < 2; ++which) {
    struct stat status;
    ASSERT_EQ(fstat(others[which], &status), 0);
    if (S_ISREG(status.st_mode)) continue;  // The same file, /proc/self/pagemap: that is as good.
    ASSERT_EQ(dup2(others[which], descriptors_[which]), descriptors_[which]);
    EXPECT_FALSE(watch_.IsIntact());
    watch_.Close();
    EXPECT_TRUE(IsOpen(descriptors_[which]));
    close(descriptors_[which]);
  }
  EXPECT_FALSE(watch_.IsIntact());
  EXPECT_TRUE(other.IsIntact());
}

TEST_F(PageWatchTest, IsIntactLeavesErrnoAlone) {
  close(descriptors_[0]);
  errno = E2BIG;
  EXPECT_FALSE(watch_.IsIntact());
  EXPECT_EQ(errno, E2BIG);
}

// ---- Refusals -------------------------------------------------------------------------------------------------------

// With fewer than two free the first descriptor, or the second, cannot be had.
TEST_F(PageWatchTest, WithoutFreeDescriptorsOpenSaysSoAndLeavesNone) {
  const ChildResult result = RunInChild([] {
    constexpr int kLimit = 64;
    const rlimit low{kLimit, kLimit};
    if (setrlimit(RLIMIT_NOFILE, &low) != 0) return 1;
    while (dup(STDERR_FILENO) >= 0) {
    }
    if (errno != EMFILE || CountOpen(kLimit) != kLimit) return 2;
    PageWatch watch;
    for (int free = 0; free < 2; ++free) {
      if (watch.Open() != EMFILE) return 3;
      if (watch.IsIntact()) return 4;
      if (CountOpen(kLimit) != kLimit - free) return 5;
      close(kLimit - 1 - free);
    }
    if (watch.Open() != 0 || !watch.IsIntact()) return 6;
    if (CountOpen(kLimit) != kLimit) return 7;
    watch.Close();
    return CountOpen(kLimit) == kLimit - 2 ? 0 : 8;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST_F(PageWatchTest, OpenSaysWhatASandboxRefuses) {
  struct Case {
    unsigned call;
    unsigned error;
  };
  for (const Case& test : {Case{SYS_userfaultfd, EPERM}, Case{SYS_userfaultfd, ENOSYS}, Case{SYS_openat, EACCES},
                           Case{SYS_ioctl, EPERM}}) {
    const ChildResult result = RunInChild([&] {
      constexpr int kNumbers = 1024;
      const int before = CountOpen(kNumbers);
      if (!Refuse(test.call, test.error)) return 1;
      PageWatch watch;
      if (watch.Open() != static_cast<int>(test.error)) return 2;
      if (watch.IsIntact()) return 3;
      return CountOpen(kNumbers) == before ? 0 : 4;
    });
    EXPECT_TRUE(result.exited_with(0)) << "call " << test.call << ": " << result.Describe();
  }
}

}  // namespace
}  // namespace acre::os
