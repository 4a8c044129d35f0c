// thread_memory [THREADS]: the resident memory of many threads that each hold 100 KiB of small blocks.
//
// Every thread takes blocks of ten sizes, 16 to 1024 bytes, until it holds 100 KiB; then all wait, and the process reads its
// own size. What an allocator keeps for each thread shows here a thousand times. Prints "rss_mib VALUE".

#include <pthread.h>

#include <cstdio>
#include <cstdlib>

#include "bench/micro/process_memory.h"

namespace acre::bench {
namespace {

constexpr size_t kDefaultThreads = 1000;
constexpr size_t kHeldBytes = 100 * 1024;
constexpr size_t kStackBytes = 64 * 1024;
constexpr size_t kSizes[] = {16, 32, 48, 64, 96, 128, 256, 384, 512, 1024};

struct Meeting {
  pthread_barrier_t all_hold;
  pthread_barrier_t all_may_free;
};

struct Link {
  Link* next;
};

// The blocks are chained through their first words: a list of pointers would be memory of its own.
void* Hold(void* argument) {
  auto* meeting = static_cast<Meeting*>(argument);
  Link* blocks = nullptr;
  for (size_t held = 0, turn = 0; held < kHeldBytes; ++turn) {
    const size_t bytes = kSizes[turn % (sizeof kSizes / sizeof kSizes[0])];
    auto* block = static_cast<Link*>(std::malloc(bytes));
    if (block == nullptr) Fail("out of memory");
    static_cast<volatile char*>(static_cast<void*>(block))[bytes - 1] = 1;
    block->next = blocks;
    blocks = block;
    held += bytes;
  }
  pthread_barrier_wait(&meeting->all_hold);
  pthread_barrier_wait(&meeting->all_may_free);
  while (blocks != nullptr) {
    Link* next = blocks->next;
    std::free(blocks);
    blocks = next;
  }
  return nullptr;
}

void Run(size_t threads) {
  Meeting meeting;
  pthread_barrier_init(&meeting.all_hold, nullptr, static_cast<unsigned>(threads + 1));
  pthread_barrier_init(&meeting.all_may_free, nullptr, static_cast<unsigned>(threads + 1));
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  auto* handles = static_cast<pthread_t*>(MapApart(threads * sizeof(pthread_t)));
  for (size_t i = 0; i < threads; ++i) {
    if (pthread_create(&handles[i], &attributes, Hold, &meeting) != 0) Fail("cannot start a thread");
  }
  pthread_barrier_wait(&meeting.all_hold);
  std::printf("rss_mib %.2f\n", ResidentMib());
  pthread_barrier_wait(&meeting.all_may_free);
  for (size_t i = 0; i < threads; ++i) pthread_join(handles[i], nullptr);
}

}  // namespace
}  // namespace acre::bench

int main(int count, char** arguments) {
  const size_t threads = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : acre::bench::kDefaultThreads;
  if (threads == 0) acre::bench::Fail("usage: thread_memory [THREADS]");
  acre::bench::Run(threads);
  return 0;
}
