// What the kernel writes into objects while a cycle marks beside mutators: by system calls, which the watch of pages tells of,
// and through pinned pages, of which only pins do. The marker stands at a gate, with the item still white behind it; the
// item's only pointer comes through the kernel.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "os/page_watch.h"
#include "tests/support/allocator/collected_heap.h"
#include "tests/support/allocator/marking_heap.h"

namespace acre {
namespace {

using os::RootSource;
using testing::AttachedMutator;
using testing::CollectOnFreshThread;
using testing::Hidden;
using testing::MarkingHeap;

constexpr size_t kObjectBytes = 20'000;
constexpr uint64_t kSign = 0x1234'5678'9abc;

// One request at a time.
class Ring {
 public:
  Ring() {
    io_uring_params params = {};
    descriptor_ = static_cast<int>(syscall(SYS_io_uring_setup, 2, &params));
    if (descriptor_ < 0) {
      problem_ = std::string("io_uring_setup: ") + std::strerror(errno);
      return;
    }
    const size_t submission_bytes = params.sq_off.array + params.sq_entries * sizeof(uint32_t);
    const size_t completion_bytes = params.cq_off.cqes + params.cq_entries * sizeof(io_uring_cqe);
    submissions_ = Map(submission_bytes, IORING_OFF_SQ_RING);
    completions_ = Map(completion_bytes, IORING_OFF_CQ_RING);
    entries_ = reinterpret_cast<io_uring_sqe*>(Map(params.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES));
    params_ = params;
  }
  ~Ring() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // Empty: it works.
  const std::string& problem() const { return problem_; }

  bool Register(void* base, size_t bytes) {
    iovec range = {base, bytes};
    return syscall(SYS_io_uring_register, descriptor_, IORING_REGISTER_BUFFERS, &range, 1) == 0;
  }
  void Unregister() { syscall(SYS_io_uring_register, descriptor_, IORING_UNREGISTER_BUFFERS, nullptr, 0); }

  // What the request returned.
  int Read(uint8_t operation, int from, void* to, unsigned bytes) {
    auto* const tail = Word(submissions_, params_.sq_off.tail);
    const uint32_t index = *tail & *Word(submissions_, params_.sq_off.ring_mask);
    entries_[index] = {};
    entries_[index].opcode = operation;
    entries_[index].fd = from;
    entries_[index].addr = reinterpret_cast<uint64_t>(to);
    entries_[index].len = bytes;
    Word(submissions_, params_.sq_off.array)[index] = index;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, descriptor_, 1, 1, IORING_ENTER_GETEVENTS, nullptr, 0) != 1) return -errno;
    auto* const head = Word(completions_, params_.cq_off.head);
    const uint32_t place = *head & *Word(completions_, params_.cq_off.ring_mask);
    const int result = reinterpret_cast<io_uring_cqe*>(completions_ + params_.cq_off.cqes)[place].res;
    __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
    return result;
  }

 private:
  char* Map(size_t bytes, off_t offset) {
    void* const address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, descriptor_, offset);
    if (address == MAP_FAILED) problem_ = std::string("mmap of a ring: ") + std::strerror(errno);
    return static_cast<char*>(address);
  }
  static uint32_t* Word(char* ring, uint32_t offset) { return reinterpret_cast<uint32_t*>(ring + offset); }

  int descriptor_ = -1;
  std::string problem_;
  char* submissions_ = nullptr;
  char* completions_ = nullptr;
  io_uring_sqe* entries_ = nullptr;
  io_uring_params params_ = {};
};

// A file that holds a pointer.
class Source {
 public:
  explicit Source(const Hidden& item) {
    descriptor_ = memfd_create("source", MFD_CLOEXEC);
    const uint64_t word = ~item.bits();
    EXPECT_EQ(write(descriptor_, &word, sizeof word), static_cast<ssize_t>(sizeof word));
    EXPECT_EQ(lseek(descriptor_, 0, SEEK_SET), 0);
  }
  ~Source() { close(descriptor_); }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

CollectorOptions Options(Tracker tracker) {
  CollectorOptions options = testing::ConcurrentOptions(tracker);
  options.debug.clobbers_freed = true;
  return options;
}

void Put(void* field, const void* object) {
  __atomic_store_n(static_cast<uint64_t*>(field), reinterpret_cast<uint64_t>(object), __ATOMIC_RELAXED);
}

// An object that a root holds, marked and scanned when the marker stands at the gate, and an item behind the gate. `write`
// puts the item's pointer into the object's field; the one behind the gate is erased. Returns whether the item lives on.
struct Scene {
  explicit Scene(const CollectorOptions& options) : heap(options) {
    heap.Do([&](AttachedMutator& mutator) {
      auto* const made = static_cast<uint64_t*>(mutator.Allocate(kConservative, 64));
      __atomic_store_n(&made[1], kSign, __ATOMIC_RELAXED);
      item = Hidden(made);
      Put(heap.field(0), made);
    });
    MakeObject(kConservative);
  }

  void MakeObject(Kind kind) {
    heap.Do([&](AttachedMutator& mutator) {
      object = Hidden(mutator.Allocate(kind, kObjectBytes));
      // Its last word leads to the gate, so that all of it has been scanned when the marker stands there.
      Put(static_cast<uint64_t*>(object.get()) + kObjectBytes / sizeof(uint64_t) - 1, heap.root());
      heap.held(0) = object.get();
    });
    field = static_cast<uint64_t*>(object.get()) + kObjectBytes / sizeof(uint64_t) / 2;
  }

  template <class Write>
  bool Lives(Write write) {
    heap.root() = nullptr;
    heap.Do([&](AttachedMutator& mutator) { heap.BeginMarking(mutator); });
    write();
    Put(heap.field(0), nullptr);
    heap.Do([&](AttachedMutator& mutator) { heap.EndMarking(mutator); });
    return IsKept();
  }

  bool IsKept() {
    bool is_kept = false;
    heap.Do([&](AttachedMutator& mutator) {
      is_kept = heap.Lives(mutator, item) && static_cast<const uint64_t*>(item.get())[1] == kSign;
    });
    return is_kept;
  }

  void Add(RootPin& pin) {
    pin = {};
    pin.base = object.get();
    pin.limit = field + 16;  // Without the word that leads to the gate.
    heap.Do([&](AttachedMutator& mutator) { heap.collector().Pin(mutator.mutator(), pin); });
  }

  MarkingHeap heap;
  Hidden item;
  Hidden object;
  uint64_t* field;
};

class PinTest : public ::testing::Test {
 protected:
  void SetUp() override {
    os::PageWatch watch;
    const int error = watch.Open();
    if (error != 0) GTEST_SKIP() << "pages cannot be watched here: " << std::strerror(error);
  }
};

// With a ring: io_uring is forbidden in many sandboxes.
class PinnedBufferTest : public PinTest {
 protected:
  void SetUp() override {
    PinTest::SetUp();
    if (IsSkipped()) return;
    if (!ring_.problem().empty()) GTEST_SKIP() << "no io_uring here: " << ring_.problem();
  }
  // False: the kernel does not pin so much for us.
  [[nodiscard]] bool Register(const Scene& scene) { return ring_.Register(scene.object.get(), kObjectBytes); }
  static bool ReadFixed(Ring& ring, const Source& source, uint64_t* field) {
    return ring.Read(IORING_OP_READ_FIXED, source.descriptor(), field, sizeof *field) == sizeof *field;
  }

  Ring ring_;
};

TEST_F(PinTest, WhatReadAndRecvWriteIntoAnObjectIsSeen) {
  for (const bool is_socket : {false, true}) {
    Scene scene(Options(Tracker::kPages));
    const Source source(scene.item);
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    const uint64_t word = ~scene.item.bits();
    ASSERT_EQ(send(ends[0], &word, sizeof word, 0), static_cast<ssize_t>(sizeof word));
    EXPECT_TRUE(scene.Lives([&] {
      const ssize_t got = is_socket ? recv(ends[1], scene.field, sizeof word, 0)
                                    : read(source.descriptor(), scene.field, sizeof word);
      EXPECT_EQ(got, static_cast<ssize_t>(sizeof word));
    })) << (is_socket ? "recv" : "read");
    close(ends[0]);
    close(ends[1]);
  }
}

TEST_F(PinnedBufferTest, WhatAPlainReadOfTheRingWritesIsSeen) {
  Scene scene(Options(Tracker::kPages));
  const Source source(scene.item);
  EXPECT_TRUE(scene.Lives([&] {
    EXPECT_EQ(ring_.Read(IORING_OP_READ, source.descriptor(), scene.field, sizeof *scene.field), 8);
  }));
}

// That is what pins are for. Should a kernel report it one day, this test says so.
TEST_F(PinnedBufferTest, WhatComesThroughARegisteredBufferIsLostWithoutAPin) {
  Scene scene(Options(Tracker::kPages));
  const Source source(scene.item);
  if (!Register(scene)) GTEST_SKIP() << "no registered buffer: " << std::strerror(errno);
  EXPECT_FALSE(scene.Lives([&] { EXPECT_TRUE(ReadFixed(ring_, source, scene.field)); }));
  EXPECT_EQ(*scene.field, ~scene.item.bits()) << "it was written";
}

TEST_F(PinnedBufferTest, WhatComesThroughARegisteredBufferIsFoundWithAPin) {
  for (const bool is_dropped : {false, true}) {
    CollectorOptions options = Options(Tracker::kPages);
    if (is_dropped) options.debug.dropped_roots = RootSource::kPins;
    Scene scene(options);
    const Source source(scene.item);
    RootPin pin;
    scene.Add(pin);
    if (!Register(scene)) GTEST_SKIP() << "no registered buffer: " << std::strerror(errno);
    EXPECT_EQ(scene.Lives([&] { EXPECT_TRUE(ReadFixed(ring_, source, scene.field)); }), !is_dropped);
    ring_.Unregister();
    scene.heap.collector().Unpin(pin);
    CollectOnFreshThread(scene.heap.heap());
    EXPECT_EQ(scene.IsKept(), !is_dropped);
  }
}

// The last stop does not know the pin any more: the pages that were touched tell it.
TEST_F(PinnedBufferTest, APinThatIsRemovedWhileACycleMarksLeavesNothingUnseen) {
  Scene scene(Options(Tracker::kPages));
  const Source source(scene.item);
  RootPin pin;
  scene.Add(pin);
  if (!Register(scene)) GTEST_SKIP() << "no registered buffer: " << std::strerror(errno);
  EXPECT_TRUE(scene.Lives([&] {
    EXPECT_TRUE(ReadFixed(ring_, source, scene.field));
    ring_.Unregister();
    scene.heap.collector().Unpin(pin);
  }));
}

// Pointers stand there complemented, but for the last, which leads to the gate.
bool TraceComplements(void*, void* object, size_t, Tracer* tracer) {
  auto* const words = static_cast<uint64_t*>(object);
  constexpr size_t kLast = kObjectBytes / sizeof(uint64_t) - 1;
  for (size_t i = 0; i < kLast; ++i) acre_visit_word(tracer, ~__atomic_load_n(&words[i], __ATOMIC_RELAXED));
  acre_visit_word(tracer, __atomic_load_n(&words[kLast], __ATOMIC_RELAXED));
  return true;
}

TEST_F(PinnedBufferTest, ATraceFunctionReadsItsPinnedObject) {
  for (const bool is_dropped : {false, true}) {
    CollectorOptions options = Options(Tracker::kPages);
    if (is_dropped) options.debug.dropped_roots = RootSource::kPins;
    Scene scene(options);
    Kind kind;
    ASSERT_EQ(scene.heap.collector().kinds().AddFunction(&TraceComplements, nullptr, &kind), Status::kOk);
    scene.MakeObject(kind);
    const Source source(Hidden(reinterpret_cast<void*>(scene.item.bits())));
    RootPin pin;
    scene.Add(pin);
    if (!Register(scene)) GTEST_SKIP() << "no registered buffer: " << std::strerror(errno);
    EXPECT_EQ(scene.Lives([&] { EXPECT_TRUE(ReadFixed(ring_, source, scene.field)); }), !is_dropped);
    ring_.Unregister();
    scene.heap.collector().Unpin(pin);
  }
}

// The snapshot has what stands in the range when it is taken, or when the pin comes.
TEST(PinBarrierTest, WhatIsOverwrittenThroughAPinLivesThroughTheCycle) {
  for (const bool comes_late : {false, true}) {
    Scene scene(Options(Tracker::kBarrier));
    RootPin pin;
    Put(scene.field, scene.item.get());
    Put(scene.heap.field(0), nullptr);
    // Not scanned when it is overwritten: it is behind the gate.
    scene.heap.held(0) = nullptr;
    Put(scene.heap.field(0), scene.object.get());
    Put(static_cast<uint64_t*>(scene.object.get()) + kObjectBytes / sizeof(uint64_t) - 1, nullptr);
    if (!comes_late) scene.Add(pin);
    scene.heap.Do([&](AttachedMutator& mutator) { scene.heap.BeginMarking(mutator); });
    if (comes_late) scene.Add(pin);
    Put(scene.field, nullptr);  // Nobody tells the marker.
    scene.heap.Do([&](AttachedMutator& mutator) { scene.heap.EndMarking(mutator); });
    EXPECT_TRUE(scene.IsKept()) << comes_late;
    scene.heap.collector().Unpin(pin);
  }
}

TEST(PinAnyTrackerTest, PinsKeepTheirObjectsAndNest) {
  testing::CollectedHeap heap;
  Hidden object;
  RootPin pins[2] = {};
  testing::OnFreshThread(heap, [&](AttachedMutator& mutator) {
    object = Hidden(mutator.Allocate(kPlain, 1000));
    for (RootPin& pin : pins) {
      pin.base = static_cast<char*>(object.get()) + 100;
      pin.limit = static_cast<char*>(object.get()) + 200;
      heap.collector().Pin(mutator.mutator(), pin);
    }
  });
  const auto lives = [&] {
    CollectOnFreshThread(heap);
    bool result = false;
    testing::OnFreshThread(heap, [&](AttachedMutator& mutator) {
      FoundObject found;
      result = heap.collector().FindObject(mutator.mutator(), ~object.bits(), &found);
    });
    return result;
  };
  EXPECT_TRUE(lives());
  heap.collector().Unpin(pins[0]);
  EXPECT_TRUE(lives());
  heap.collector().Unpin(pins[1]);
  EXPECT_FALSE(lives());
}

TEST(PinDeathTest, ARangeThatIsNotInOneObjectIsNamed) {
  testing::CollectedHeap heap;
  AttachedMutator mutator(heap);
  char* const object = static_cast<char*>(mutator.Allocate(kConservative, 1000));
  char outside[16] = {};
  const auto pin = [&](char* base, char* limit) {
    RootPin record = {};
    record.base = base;
    record.limit = limit;
    heap.collector().Pin(mutator.mutator(), record);
  };
  EXPECT_DEATH(pin(outside, outside + 16), "^acre: a pin of 16 bytes at 0x[0-9a-f]+: they do not lie in one object\n");
  EXPECT_DEATH(pin(object, object + 2000), "^acre: a pin of 2000 bytes at 0x[0-9a-f]+: they do not lie in one object\n");
  RootPin never = {};
  EXPECT_DEATH(heap.collector().Unpin(never), "^acre: a root is removed that is not registered: 0x");
}

}  // namespace
}  // namespace acre
