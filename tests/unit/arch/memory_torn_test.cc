#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "tests/unit/arch/memory_support.h"

// No word is seen half written: one thread writes a range alternately with bytes that are all A, with bytes that are
// all B, and with zeros, while another reads the aligned words that lie wholly in the range and must find a whole A, B
// or zero. The last test shows that a body which stores byte after byte is caught.
//
// This watches the hardware (what one store writes is seen at once). The order of the stores is checked exactly in
// x86_64/memory_order_test.cc.

namespace acre::arch {
namespace {

constexpr uint64_t kA = 0x1111111111111111u;
constexpr uint64_t kB = 0xeeeeeeeeeeeeeeeeu;
constexpr size_t kWordBytes = 8;
constexpr size_t kKiB = 1024;
constexpr size_t kMiB = 1024 * kKiB;

struct Observed {
  uint64_t torn = 0;
  uint64_t changes = 0;
};

struct Case {
  size_t offset;  // Of the destination, from a cache line's beginning.
  size_t bytes;
  int rounds;
};

// Aligned to cache lines, all bytes the same.
class Lines {
 public:
  Lines(size_t bytes, Byte value) : storage_(bytes + 128, value) {}
  Byte* base() { return storage_.data() + (-reinterpret_cast<uintptr_t>(storage_.data()) % 64); }

 private:
  std::vector<Byte> storage_;
};

// What the two threads tell each other.
struct Handshake {
  std::atomic<bool> is_watching = false;
  std::atomic<bool> has_seen_change = false;
  std::atomic<bool> is_done = false;
};

// Reads the whole words of [base, limit), over and over, until the writer is done.
Observed Watch(Byte* base, Byte* limit, Handshake& handshake) {
  Byte* const first = base + (-reinterpret_cast<uintptr_t>(base) % kWordBytes);
  Observed seen;
  uint64_t last = 0;
  do {
    for (Byte* at = first; at + kWordBytes <= limit; at += kWordBytes) {
      const uint64_t word = std::atomic_ref(*reinterpret_cast<uint64_t*>(at)).load(std::memory_order_relaxed);
      if (word != kA && word != kB && word != 0) seen.torn++;
      if (word != last) seen.changes++;
      last = word;
    }
    if (seen.changes > 0) handshake.has_seen_change.store(true, std::memory_order_release);
    handshake.is_watching.store(true, std::memory_order_release);
  } while (!handshake.is_done.load(std::memory_order_acquire));
  return seen;
}

Observed WriteWhileWatched(MoveFunction* move, ClearFunction* clear, const Case& c) {
  Lines to(c.bytes + 64, 0);
  Lines a(c.bytes + 64, 0x11);
  Lines b(c.bytes + 64, 0xee);
  Byte* const base = to.base() + c.offset;
  const bool has_word = -c.offset % kWordBytes + kWordBytes <= c.bytes;
  Handshake handshake;
  Observed seen;
  std::thread watcher([&] { seen = Watch(base, base + c.bytes, handshake); });
  while (!handshake.is_watching.load(std::memory_order_acquire)) std::this_thread::yield();
  // On a busy machine the watcher may sleep through the rounds asked for: the writing goes on until it saw some of it.
  for (int i = 0; i < c.rounds || (has_word && !handshake.has_seen_change.load(std::memory_order_acquire)); i++) {
    move(base, a.base() + i % 8, c.bytes);  // Sources at all alignments to a word.
    if (i >= c.rounds) std::this_thread::yield();
    move(base, b.base() + i % 8, c.bytes);
    clear(base, c.bytes);
  }
  handshake.is_done.store(true, std::memory_order_release);
  watcher.join();
  EXPECT_EQ(seen.changes > 0, has_word) << c.bytes << " bytes at offset " << c.offset;
  return seen;
}

class MemoryTorn : public MemoryBodyTest {};

TEST_P(MemoryTorn, ReaderSeesWholeWordsOnly) {
  for (size_t bytes : {8, 13, 16, 31, 48, 64, 100, 128, 200, 256, 300, 512, 1000, 4096, 40'000, 300'000}) {
    for (size_t offset : {0, 8, 56, 3, 29, 60}) {
      const int rounds = static_cast<int>(std::min<size_t>(2000, 2 * kMiB / bytes));
      const Observed seen = WriteWhileWatched(GetParam().move, GetParam().clear, {offset, bytes, rounds});
      EXPECT_EQ(seen.torn, 0u) << bytes << " bytes at offset " << offset;
    }
  }
  const Observed seen = WriteWhileWatched(GetParam().move, GetParam().clear, {3, 17 * kMiB, 1});
  EXPECT_EQ(seen.torn, 0u) << "streamed";
}

INSTANTIATE_TEST_SUITE_P(Bodies, MemoryTorn, testing::ValuesIn(BodiesAndDispatcher()), BodyName);

// What is to be caught: the same bytes, one at a time.
void MoveTorn(void* to, const void* from, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    std::atomic_ref(static_cast<Byte*>(to)[i]).store(static_cast<const Byte*>(from)[i], std::memory_order_relaxed);
  }
}
void ClearTorn(void* base, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) std::atomic_ref(static_cast<Byte*>(base)[i]).store(0, std::memory_order_relaxed);
}

TEST(MemoryTornMethod, BytewiseCopyIsCaught) {
  if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "the reader needs a second CPU";
  uint64_t torn = 0;
  for (int i = 0; i < 1000 && torn == 0; i++) torn += WriteWhileWatched(MoveTorn, ClearTorn, {0, 4096, 500}).torn;
  EXPECT_GT(torn, 0u);
}

}  // namespace
}  // namespace acre::arch
