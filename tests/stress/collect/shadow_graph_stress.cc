// A shadow-graph mutator: each thread builds and changes a random graph on the collected heap, and holds the same graph
// in plain memory, by complemented addresses that the collector cannot take for pointers. What the shadow reaches must
// be there unharmed after any collection; in the end what it does not reach must be gone.
//
// Objects are of every form of kind and of every size, edges lead to any byte of an object. The threads come and go,
// block, and are interrupted by signals with handlers of an application all the while.
//
// ACRE_STRESS_SECONDS sets the length (3 unless told), TEST_SEED repeats a run, ACRE_DEBUG switches checks on.

#include <gtest/gtest.h>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>
#include <vector>

#include "tests/support/allocator/collected_heap.h"
#include "tests/support/sanitizers.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

using testing::AttachedMutator;
using testing::CollectedHeap;
using testing::Hidden;
using testing::Random;

constexpr size_t kRoots = 64;
constexpr size_t kMaxNodes = 4000;  // Of one thread's shadow; then a root is dropped.
constexpr size_t kHeaderWords = 2;
constexpr size_t kHugeWords = 40 * kMiB / sizeof(uint64_t);

// An object's words: its number, how many edges it has, the edges at the words that its kind takes for pointers, a
// filling, and the complement of the number.
struct Shape {
  Kind kind;
  size_t first_edge;  // The word of edge 0, and
  size_t stride;      // of the next one behind it.
  size_t max_edges;
  size_t max_words;   // SIZE_MAX: any.
};

class Shapes {
 public:
  explicit Shapes(KindTable& kinds) {
    for (size_t word = kHeaderWords; word < kLongWords; ++word) long_[word / 64] |= uint64_t{1} << word % 64;
    const uint64_t short_bits = 0b11111100;
    const uint64_t pair_bits = 0b10;
    Kind small;
    Kind pairs;
    Kind lengthy;
    Kind traced;
    EXPECT_EQ(kinds.AddBitmap(&short_bits, 8, &small), Status::kOk);
    EXPECT_EQ(kinds.AddBitmap(&pair_bits, 2, &pairs), Status::kOk);
    EXPECT_EQ(kinds.AddBitmap(long_, kLongWords, &lengthy), Status::kOk);
    EXPECT_EQ(kinds.AddFunction(Trace, nullptr, &traced), Status::kOk);
    shapes_ = {{kConservative, 2, 1, 6, SIZE_MAX}, {kPlain, 2, 1, 0, SIZE_MAX}, {small, 2, 1, 5, 8},
               {pairs, 3, 2, 6, SIZE_MAX},         {lengthy, 2, 1, 6, kLongWords}, {traced, 2, 1, 6, SIZE_MAX}};
  }

  // One that objects of so many words and edges can have.
  const Shape& Any(Random& random, size_t words) const {
    for (;;) {
      const Shape& shape = shapes_[random.Below(shapes_.size())];
      if (words <= shape.max_words) return shape;
    }
  }

 private:
  static constexpr size_t kLongWords = 200;

  static bool Trace(void*, void* object, size_t bytes, acre_tracer* tracer) {
    const auto* words = static_cast<const uint64_t*>(object);
    if (__atomic_load_n(&words[0], __ATOMIC_RELAXED) == 0) return false;  // Not initialised yet.
    const uint64_t edges = __atomic_load_n(&words[1], __ATOMIC_RELAXED);
    for (size_t i = 0; i < edges && (kHeaderWords + i) * sizeof(uint64_t) < bytes; ++i) {
      acre_visit_word(tracer, __atomic_load_n(&words[kHeaderWords + i], __ATOMIC_RELAXED));
    }
    return true;
  }

  uint64_t long_[kLongWords / 64 + 1] = {};
  std::vector<Shape> shapes_;
};

struct Edge {
  uint64_t number = 0;  // Of a node; 0: null.
  size_t offset = 0;    // Into its object, in bytes.
};

struct Shadow {
  Hidden object;
  size_t words = 0;
  const Shape* shape = nullptr;
  std::vector<Edge> edges;

  uint64_t* word(size_t index) const { return static_cast<uint64_t*>(object.get()) + index; }
  uint64_t* edge(size_t index) const { return word(shape->first_edge + index * shape->stride); }
};

// The threads that signals go to.
class Storm {
 public:
  Storm() : thread_([this] { Run(); }) {}
  ~Storm() {
    is_ending_ = true;
    thread_.join();
  }

  void Join() {
    std::lock_guard lock(mutex_);
    threads_.insert(pthread_self());
  }
  void Leave() {
    std::lock_guard lock(mutex_);
    threads_.erase(pthread_self());
  }

  static inline std::atomic<uint64_t> handled{0};

 private:
  // Some work on the alternate stack, which is where a stop may find the thread.
  static void OnSignal(int) {
    volatile uint64_t words[2000];
    for (volatile uint64_t& word : words) word = 1;
    handled += words[17];
  }

  void Run() {
    struct sigaction action = {};
    action.sa_handler = OnSignal;
    action.sa_flags = SA_ONSTACK | SA_RESTART;
    sigaction(SIGUSR1, &action, nullptr);
    sigaction(SIGURG, &action, nullptr);  // Ours chains it, whichever came first.
    while (!is_ending_) {
      {
        std::lock_guard lock(mutex_);
        for (const pthread_t thread : threads_) pthread_kill(thread, SIGUSR1);
        for (const pthread_t thread : threads_) pthread_kill(thread, SIGURG);
      }
      for (int i = 0; i < 50 && !is_ending_; ++i) std::this_thread::yield();
    }
  }

  std::mutex mutex_;
  std::set<pthread_t> threads_;  // Guarded by mutex_.
  std::atomic<bool> is_ending_{false};
  std::thread thread_;
};

// An alternate stack of the application's for as long as it lives, and signals onto it.
class InStorm {
 public:
  explicit InStorm(Storm& storm) : storm_(storm), memory_(kBytes) {
    const stack_t ours = {.ss_sp = memory_.data(), .ss_flags = 0, .ss_size = kBytes};
    EXPECT_EQ(sigaltstack(&ours, &before_), 0);
    storm_.Join();
  }
  ~InStorm() {
    storm_.Leave();
    EXPECT_EQ(sigaltstack(&before_, nullptr), 0);
  }

 private:
  static constexpr size_t kBytes = 128 * 1024;

  Storm& storm_;
  std::vector<char> memory_;
  stack_t before_ = {};
};

class GraphThread {
 public:
  GraphThread(CollectedHeap& heap, const Shapes& shapes, uint64_t seed)
      : mutator_(heap), heap_(heap), shapes_(shapes), random_(seed), words_(kRoots, nullptr),
        range_{.base = words_.data(), .limit = words_.data() + kRoots}, roots_(kRoots) {
    heap_.roots().Add(range_);
  }
  ~GraphThread() { heap_.roots().Remove(range_); }

  void Step() {
    const uint64_t what = random_.Below(1000);
    if (what < 500) {
      Allocate();
    } else if (what < 900) {
      ChangeEdge();
    } else if (what < 990) {
      DropRoot();
    } else if (what < 996) {
      Garbage(200);
    } else if (what < 998) {
      Check();
    } else if (what == 998) {
      if (random_.OneIn(2)) mutator_.Collect();
    } else if (random_.OneIn(2)) {
      World::Safepoint(mutator_.mutator());
    } else if (random_.OneIn(20)) {
      Fork();
    } else {
      Block();
    }
    if (nodes_.size() > kMaxNodes) {
      for (size_t i = 0; i < kRoots / 2; ++i) DropRoot();
      Forget();
    }
  }

  // Everything that the shadow reaches is as the shadow has it.
  [[gnu::noinline]] void Check() {
    for (const uint64_t number : Reached()) {
      const Shadow& shadow = nodes_.at(number);
      ASSERT_EQ(*shadow.word(0), number);
      ASSERT_EQ(*shadow.word(1), shadow.edges.size());
      for (size_t i = 0; i < shadow.edges.size(); ++i) {
        ASSERT_EQ(*shadow.edge(i), AddressOf(shadow.edges[i])) << "edge " << i << " of " << number;
      }
      ASSERT_EQ(*shadow.word(shadow.words - 1), ~number);
    }
  }

  // Drops the shadow of what is not reached; returns how many nodes are.
  [[gnu::noinline]] size_t Forget() {
    std::unordered_map<uint64_t, Shadow> kept;
    for (const uint64_t number : Reached()) kept.emplace(number, std::move(nodes_.at(number)));
    nodes_ = std::move(kept);
    return nodes_.size();
  }

  AttachedMutator& mutator() { return mutator_; }

  // Objects that nothing holds and that hold nothing; returns how many.
  [[gnu::noinline]] size_t Garbage(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      mutator_.Allocate(random_.OneIn(2) ? kPlain : kConservative, 16 + random_.Below(400));
    }
    return count;
  }

 private:
  std::vector<uint64_t> Reached() const {
    std::vector<uint64_t> order;
    std::unordered_map<uint64_t, bool> seen;
    const auto visit = [&](const Edge& edge) {
      if (edge.number != 0 && seen.emplace(edge.number, true).second) order.push_back(edge.number);
    };
    for (const Edge& root : roots_) visit(root);
    for (size_t i = 0; i < order.size(); ++i) {
      for (const Edge& to : nodes_.at(order[i]).edges) visit(to);
    }
    return order;
  }

  // Into the object of the edge, as the heap sees it.
  uintptr_t AddressOf(const Edge& edge) const {
    if (edge.number == 0) return 0;
    return reinterpret_cast<uintptr_t>(nodes_.at(edge.number).object.get()) + edge.offset;
  }

  // To a node that is reached for sure, mostly to its first byte.
  Edge AnyEdge() {
    const uint64_t number = RandomReached();
    if (number == 0 || !random_.OneIn(4)) return {number, 0};
    return {number, random_.Below(nodes_.at(number).words * sizeof(uint64_t))};
  }

  size_t AnyWords() {
    if (random_.OneIn(4000)) return kHugeWords;
    if (random_.OneIn(500)) return 200'000;
    return kHeaderWords + 1 + random_.Below(random_.OneIn(50) ? 6000 : random_.OneIn(8) ? 100 : 12);
  }

  [[gnu::noinline]] void Allocate() {
    size_t words = AnyWords();
    const Shape& shape = shapes_.Any(random_, words);
    size_t edges = random_.Below(shape.max_edges + 1);
    while (edges > 0 && shape.first_edge + (edges - 1) * shape.stride >= words - 1) --edges;
    // Until a root holds it, nothing but this does: on the stack, and read again at the end.
    void* volatile unhidden = mutator_.Allocate(shape.kind, words * sizeof(uint64_t));
    ASSERT_NE(unhidden, nullptr);
    Shadow shadow{Hidden(unhidden), words, &shape, std::vector<Edge>(edges)};
    // Of huge ones, which are fresh from the kernel, a word in each page.
    for (size_t i = 0; i < words; i += words == kHugeWords ? 4096 : 1) ASSERT_EQ(*shadow.word(i), 0u) << "word " << i;
    const uint64_t number = ++last_number_;
    // The marker may look at it already.
    __atomic_store_n(shadow.word(1), edges, __ATOMIC_RELAXED);
    __atomic_store_n(shadow.word(0), number, __ATOMIC_RELAXED);
    __atomic_store_n(shadow.word(words - 1), ~number, __ATOMIC_RELAXED);
    for (size_t i = 0; i < edges; ++i) {
      shadow.edges[i] = AnyEdge();
      __atomic_store_n(shadow.edge(i), AddressOf(shadow.edges[i]), __ATOMIC_RELAXED);
    }
    nodes_.emplace(number, std::move(shadow));
    SetRoot(random_.Below(kRoots), {number, 0});
    ASSERT_NE(unhidden, nullptr);
  }

  [[gnu::noinline]] void ChangeEdge() {
    const uint64_t from = RandomReached();
    if (from == 0 || nodes_.at(from).edges.empty()) return;
    Shadow& shadow = nodes_.at(from);
    const size_t edge = random_.Below(shadow.edges.size());
    shadow.edges[edge] = random_.OneIn(3) ? Edge{} : AnyEdge();
    heap_.collector().Store(mutator_.mutator(), shadow.edge(edge), AddressOf(shadow.edges[edge]));
  }

  void DropRoot() { SetRoot(random_.Below(kRoots), {}); }

  // The child's graph is as the parent's was; it allocates, collects, and finds it so again.
  [[gnu::noinline]] void Fork() {
    // ThreadSanitizer ends a child that has more to do than exec; AddressSanitizer of GCC 12 leaves locks of its allocator in
    // the child as other threads held them.
    if (testing::kHasThreadSanitizer || testing::kHasAddressSanitizer) return;
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      Check();
      Garbage(1000);
      mutator_.Collect();
      Check();
      _exit(::testing::Test::HasFatalFailure() ? 1 : 0);
    }
    struct Call {
      pid_t child;
      int status;
    } call{child, -1};
    World::Block(
        mutator_.mutator(),
        [](void* argument) {
          auto& waited = *static_cast<Call*>(argument);
          while (waitpid(waited.child, &waited.status, 0) < 0 && errno == EINTR) {
          }
        },
        &call);
    EXPECT_EQ(call.status, 0) << "of the child";
  }

  [[gnu::noinline]] void SetRoot(size_t root, const Edge& edge) {
    roots_[root] = edge;
    words_[root] = reinterpret_cast<void*>(AddressOf(edge));
  }

  void Block() {
    World::Block(
        mutator_.mutator(), [](void*) { std::this_thread::yield(); }, nullptr);
  }

  // A node that is reached for sure: by some steps from a root. 0: none.
  uint64_t RandomReached() {
    uint64_t number = roots_[random_.Below(kRoots)].number;
    for (uint64_t steps = random_.Below(5); steps > 0 && number != 0; --steps) {
      const Shadow& shadow = nodes_.at(number);
      if (shadow.edges.empty()) break;
      const uint64_t to = shadow.edges[random_.Below(shadow.edges.size())].number;
      if (to == 0) break;
      number = to;
    }
    return number;
  }

  AttachedMutator mutator_;
  CollectedHeap& heap_;
  const Shapes& shapes_;
  Random random_;
  std::vector<void*> words_;  // What the heap sees of the roots.
  RootRange range_ = {};
  std::vector<Edge> roots_;
  std::unordered_map<uint64_t, Shadow> nodes_;
  uint64_t last_number_ = 0;
};

std::chrono::milliseconds Length() {
  const char* text = std::getenv("ACRE_STRESS_SECONDS");
  return std::chrono::milliseconds(text == nullptr ? 3000 : 1000 * std::atoi(text));
}

CollectorOptions SmallTrigger() {
  CollectorOptions options = testing::OptionsOfEnvironment();
  options.min_trigger_bytes = 256 * kKiB;
  testing::SetTrackerOfEnvironment(&options);
  return options;
}

// A cycle run from a thread on a stack that nobody has used before: no stale word is on it.
void CollectOnFreshStack(CollectedHeap& heap) {
  constexpr size_t kStackBytes = 1 * kMiB;
  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(stack, MAP_FAILED);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstack(&attributes, stack, kStackBytes), 0);
  pthread_t thread;
  const auto body = [](void* argument) -> void* {
    AttachedMutator mutator(*static_cast<CollectedHeap*>(argument));
    mutator.Collect();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, body, &heap), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  munmap(stack, kStackBytes);
}

// The first may end a marking, of which words are left on its stack. Clobbered memory goes a cycle later.
void CollectTwice(CollectedHeap& heap) {
  CollectOnFreshStack(heap);
  CollectOnFreshStack(heap);
}

// When no thread, no root and no stack is left. What a sanitizer keeps for each thread is part of that thread's stack, and
// its words look like addresses of the heap now and then: they may hold a graph, but not what each thread has dropped in its time.
void ExpectNothingLives(CollectedHeap& heap, int graphs) {
  CollectTwice(heap);
  if (testing::kHasThreadSanitizer || testing::kHasAddressSanitizer) {
    EXPECT_LT(heap.collector().stats().live_objects, static_cast<size_t>(graphs) * kMaxNodes);
    return;
  }
  EXPECT_EQ(heap.collector().stats().live_objects, 0u);
  EXPECT_EQ(heap.heap().page_heap().used_bytes(), 0u);
  EXPECT_EQ(heap.heap().huge_list().stats().objects, 0u);
}

class ShadowGraph : public ::testing::TestWithParam<int> {};

// What threads that have come to an end of their work wait for, in a blocking call.
struct Gate {
  std::atomic<int> waiting{0};
  std::atomic<bool> is_open{false};
  std::atomic<size_t> reached{0};
  std::atomic<size_t> garbage{0};

  static void Wait(void* self) {
    auto& gate = *static_cast<Gate*>(self);
    ++gate.waiting;
    gate.is_open.wait(false);
  }
};

void RunThread(CollectedHeap& heap, Storm& storm, const Shapes& shapes, uint64_t seed, Gate& gate,
               std::chrono::steady_clock::time_point end) {
  constexpr size_t kGarbage = 20'000;
  InStorm in_storm(storm);
  GraphThread graph(heap, shapes, seed);
  while (std::chrono::steady_clock::now() < end && !::testing::Test::HasFatalFailure()) {
    for (int i = 0; i < 500; ++i) graph.Step();
  }
  graph.Check();
  graph.mutator().Collect();
  gate.reached += graph.Forget();
  gate.garbage += graph.Garbage(kGarbage);
  World::Block(graph.mutator().mutator(), &Gate::Wait, &gate);
  graph.Check();
}

TEST_P(ShadowGraph, NothingReachableIsFreedAndWhatIsNotGoes) {
  const uint64_t seed = testing::Seed("shadow graph");
  CollectedHeap heap(SmallTrigger());
  const Shapes shapes(heap.collector().kinds());
  const uint64_t handled_before = Storm::handled;
  Gate gate;
  const auto end = std::chrono::steady_clock::now() + Length();
  {
    Storm storm;
    std::vector<std::thread> threads;
    for (int number = 0; number < GetParam(); ++number) {
      threads.emplace_back(
          [&, number] { RunThread(heap, storm, shapes, seed + static_cast<uint64_t>(number), gate, end); });
    }
    while (gate.waiting < GetParam()) std::this_thread::yield();
    // Two cycles, while the graphs are held: of the objects that hold nothing, 99.5 % must go. A stale word on a
    // waiting thread's stack may hold a dropped node, and all that this leads to: a graph for each, at most.
    CollectTwice(heap);
    const CycleStats stats = heap.collector().stats();
    const size_t huge_objects = heap.heap().huge_list().stats().objects;  // They are not counted.
    EXPECT_GE(stats.live_objects + huge_objects, gate.reached);
    const size_t held_by_stale_words = static_cast<size_t>(GetParam()) * kMaxNodes;
    EXPECT_LE(stats.live_objects, gate.reached + gate.garbage / 200 + held_by_stale_words);
    gate.is_open = true;
    gate.is_open.notify_all();
    for (std::thread& thread : threads) thread.join();
  }
  heap.collector().CheckInvariants();
  EXPECT_GT(heap.collector().stats().cycles, 0u);
  EXPECT_EQ(testing::HasMarkedBeside(heap, SmallTrigger()), testing::MarksBeside(SmallTrigger()));
  EXPECT_GT(gate.reached, 0u);
  EXPECT_GT(Storm::handled, handled_before);
  ExpectNothingLives(heap, GetParam());
}

// Threads that attach, work a little and leave while others collect.
TEST_P(ShadowGraph, ThreadsComeAndGo) {
  const uint64_t seed = testing::Seed("shadow graph, short threads");
  CollectedHeap heap(SmallTrigger());
  const Shapes shapes(heap.collector().kinds());
  const auto end = std::chrono::steady_clock::now() + Length() / 2;
  {
    Storm storm;
    std::vector<std::thread> threads;
    for (int number = 0; number < GetParam(); ++number) {
      threads.emplace_back([&, number] {
        Random random(seed + static_cast<uint64_t>(number));
        while (std::chrono::steady_clock::now() < end && !::testing::Test::HasFatalFailure()) {
          std::thread([&, thread_seed = random.Next()] {
            InStorm in_storm(storm);
            GraphThread graph(heap, shapes, thread_seed);
            for (int i = 0; i < 300; ++i) graph.Step();
            graph.Check();
          }).join();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  heap.collector().CheckInvariants();
  ExpectNothingLives(heap, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Threads, ShadowGraph, ::testing::Values(1, 2, 4, 8));

}  // namespace
}  // namespace acre
