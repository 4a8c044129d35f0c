#include <signal.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "tests/support/sanitizers.h"
#include "tests/unit/arch/memory_support.h"

// The order of stores, exactly: each body runs with the CPU's trap flag set, so that a signal handler sees the
// destination after every single instruction (and every iteration of a string instruction). At each of these moments,
// which are all that another core may observe when single stores are whole, every aligned word of the range must be
// old or new. The last tests show that bodies which store in another order are caught.

namespace acre::arch {
namespace {

constexpr size_t kWordBytes = 8;
constexpr uint64_t kTrapFlag = 0x100;
constexpr size_t kBufferBytes = 80 * 1024;

// What the handler looks at: the words of [first, limit), and what they were and will be. A handler has no other way
// to reach it.
struct Watched {
  const Byte* first = nullptr;
  const Byte* limit = nullptr;
  const Byte* old_words = nullptr;
  const Byte* new_words = nullptr;
  uint64_t steps = 0;
  uint64_t torn = 0;
};
Watched watched;

uint64_t LoadWord(const Byte* at) {
  uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

void OnStep(int /*signal*/) {
  watched.steps++;
  for (const Byte* at = watched.first; at < watched.limit; at += kWordBytes) {
    const ptrdiff_t offset = at - watched.first;
    const uint64_t word = LoadWord(at);
    if (word == LoadWord(watched.old_words + offset)) continue;
    if (word == LoadWord(watched.new_words + offset)) continue;
    watched.torn++;
    return;
  }
}

class StepHandler {
 public:
  StepHandler() {
    struct sigaction action = {};
    action.sa_handler = OnStep;
    sigaction(SIGTRAP, &action, &before_);
  }
  ~StepHandler() { sigaction(SIGTRAP, &before_, nullptr); }
  StepHandler(const StepHandler&) = delete;
  StepHandler& operator=(const StepHandler&) = delete;

 private:
  struct sigaction before_;
};

struct Buffers {
  alignas(64) Byte work[kBufferBytes];
  alignas(64) Byte old_image[kBufferBytes];
  alignas(64) Byte new_image[kBufferBytes];
};

// A destination and a source in Buffers::work.
struct Ranges {
  size_t to;
  size_t from;
  size_t bytes;
};

// Runs one write of [to, to + bytes) of the buffer, watched step by step. `old_image` is the buffer; `new_image` is
// what it shall be.
template <class Write>
Watched Step(Buffers& buffers, size_t to, size_t bytes, Write write) {
  const size_t first = (to + kWordBytes - 1) / kWordBytes * kWordBytes;
  const size_t limit = std::max(first, (to + bytes) / kWordBytes * kWordBytes);
  watched = {buffers.work + first, buffers.work + limit, buffers.old_image + first, buffers.new_image + first};
  const auto flags = __readeflags();
  __writeeflags(flags | kTrapFlag);
  write();
  __writeeflags(flags);
  return watched;
}

Watched StepMove(Buffers& buffers, MoveFunction* move, const Ranges& r) {
  const size_t used = std::max(r.to, r.from) + r.bytes;
  FillPattern(buffers.work, used, r.bytes);
  std::memcpy(buffers.old_image, buffers.work, used);
  std::memcpy(buffers.new_image, buffers.work, used);
  std::memmove(buffers.new_image + r.to, buffers.work + r.from, r.bytes);
  return Step(buffers, r.to, r.bytes, [&] { move(buffers.work + r.to, buffers.work + r.from, r.bytes); });
}

Watched StepClear(Buffers& buffers, ClearFunction* clear, size_t base, size_t bytes) {
  FillPattern(buffers.work, base + bytes, bytes);
  std::memcpy(buffers.old_image, buffers.work, base + bytes);
  std::memset(buffers.new_image, 0, base + bytes);
  return Step(buffers, base, bytes, [&] { clear(buffers.work + base, bytes); });
}

// A signal for each instruction takes microseconds, and more under a sanitizer, so only sizes around the limits of the
// classes. The portable body has no classes and many instructions: a few words show all of it.
std::vector<size_t> Sizes(const MemoryBody& body) {
  std::vector<size_t> sizes = {8, 9, 13, 15, 16, 17, 20, 23, 24, 27, 31, 32, 33, 40};
  if (body.move == MovePortable) return sizes;
  for (size_t edge : {48, 64, 96, 128, 192, 256, 320, 512, 700}) {
    for (size_t bytes : {edge - 1, edge, edge + 3}) sizes.push_back(bytes);
  }
  return sizes;
}

constexpr size_t kOffsets[] = {0, 1, 4, 29};

class MemoryOrder : public MemoryBodyTest {
 protected:
  StepHandler handler_;
  std::unique_ptr<Buffers> buffers_ = std::make_unique<Buffers>();
};

// ThreadSanitizer's calls in the portable bodies are stepped through too, and it waits for a lock of its own when the handler
// of a step comes in the midst of them.
constexpr const char* kNoSteps = "the body is not alone";

TEST_P(MemoryOrder, WordsAreWholeAfterEveryInstructionOfMove) {
  if (testing::kHasThreadSanitizer && GetParam().move == MovePortable) GTEST_SKIP() << kNoSteps;
  for (size_t bytes : Sizes(GetParam())) {
    for (size_t offset : kOffsets) {
      const Watched seen = StepMove(*buffers_, GetParam().move, {offset, 2048 + bytes % 64, bytes});
      ASSERT_GT(seen.steps, 0u);
      ASSERT_EQ(seen.torn, 0u) << bytes << " bytes to offset " << offset;
    }
  }
}

TEST_P(MemoryOrder, WordsAreWholeAfterEveryInstructionOfClear) {
  if (testing::kHasThreadSanitizer && GetParam().move == MovePortable) GTEST_SKIP() << kNoSteps;
  for (size_t bytes : Sizes(GetParam())) {
    for (size_t offset : kOffsets) {
      const Watched seen = StepClear(*buffers_, GetParam().clear, offset, bytes);
      ASSERT_GT(seen.steps, 0u);
      ASSERT_EQ(seen.torn, 0u) << bytes << " bytes at offset " << offset;
    }
  }
}

TEST_P(MemoryOrder, WordsAreWholeAfterEveryInstructionOfOverlappingMoves) {
  if (testing::kHasThreadSanitizer && GetParam().move == MovePortable) GTEST_SKIP() << kNoSteps;
  for (size_t bytes : {16, 31, 50, 100, 200, 300, 600, 1100}) {
    if (GetParam().move == MovePortable && bytes > 50) break;
    for (size_t offset : {0, 29}) {
      for (size_t distance : {8, 13, 200}) {
        const Watched up = StepMove(*buffers_, GetParam().move, {offset + distance, offset, bytes});
        ASSERT_EQ(up.torn, 0u) << bytes << " bytes from offset " << offset << ", up by " << distance;
        const Watched down = StepMove(*buffers_, GetParam().move, {offset, offset + distance, bytes});
        ASSERT_EQ(down.torn, 0u) << bytes << " bytes to offset " << offset << ", down by " << distance;
      }
    }
  }
}

// 33 KiB: where string instructions begin in the body that has them.
TEST_P(MemoryOrder, WordsAreWholeAfterEveryInstructionOfALongMove) {
  if (GetParam().move == MovePortable) GTEST_SKIP() << "the portable body has no string instructions";
  const Watched seen = StepMove(*buffers_, GetParam().move, {5, 40 * 1024, 33 * 1024 + 3});
  ASSERT_EQ(seen.torn, 0u);
}

INSTANTIATE_TEST_SUITE_P(Bodies, MemoryOrder, ::testing::ValuesIn(MemoryBodies().begin(), MemoryBodies().end()),
                         BodyName);

// The bodies below are wrong on purpose.

void Store16(void* to, __m128i value) { _mm_storeu_si128(static_cast<__m128i*>(to), value); }

void MoveTailFirst(void* to, const void* from, size_t bytes) {
  const size_t last = bytes - sizeof(__m128i);
  const __m128i head = _mm_loadu_si128(static_cast<const __m128i*>(from));
  const __m128i tail = _mm_loadu_si128(reinterpret_cast<const __m128i*>(static_cast<const Byte*>(from) + last));
  Store16(static_cast<Byte*>(to) + last, tail);
  asm volatile("" ::: "memory");
  Store16(to, head);
}

void MoveBytewise(void* to, const void* from, size_t bytes) {
  asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

TEST(MemoryOrderMethod, TailBeforeHeadIsCaught) {
  const StepHandler handler;
  const auto buffers = std::make_unique<Buffers>();
  EXPECT_GT(StepMove(*buffers, MoveTailFirst, {0, 1024, 20}).torn, 0u);
  EXPECT_EQ(StepMove(*buffers, MoveTailFirst, {0, 1024, 24}).torn, 0u);
}

TEST(MemoryOrderMethod, BytewiseStringMoveIsCaught) {
  const StepHandler handler;
  const auto buffers = std::make_unique<Buffers>();
  EXPECT_GT(StepMove(*buffers, MoveBytewise, {0, 1024, 64}).torn, 0u);
}

}  // namespace
}  // namespace acre::arch
