// burst [MIB]: how much memory a process still holds after a burst of small objects was freed.
//
// Takes MIB mebibytes (1024 if not given) in blocks of 16 to 255 bytes, frees them all in the order taken, and then only
// sleeps: what returns to the system returns without a call of the allocator. Prints one "key value" a line.

#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "bench/micro/process_memory.h"

namespace acre::bench {
namespace {

constexpr size_t kDefaultMib = 1024;
constexpr size_t kLeastBytes = 16;
constexpr size_t kMostBytes = 255;

struct Blocks {
  char** places;  // Mapped apart from the heap, so that it is the same memory on each allocator.
  size_t count;
};

Blocks TakeBurst(size_t total_bytes) {
  Blocks blocks{static_cast<char**>(MapApart(total_bytes / kLeastBytes * sizeof(char*))), 0};
  uint64_t state = 1;
  for (size_t taken = 0; taken < total_bytes; ++blocks.count) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    const size_t bytes = kLeastBytes + static_cast<size_t>(state >> 33) % (kMostBytes - kLeastBytes + 1);
    auto* block = static_cast<char*>(std::malloc(bytes));
    if (block == nullptr) Fail("out of memory");
    block[0] = 1;
    block[bytes - 1] = 1;
    blocks.places[blocks.count] = block;
    taken += bytes;
  }
  return blocks;
}

void Report(const char* key, double value) {
  std::printf("%s %.2f\n", key, value);
  std::fflush(stdout);
}

void Run(size_t total_bytes) {
  std::setvbuf(stdout, nullptr, _IONBF, 0);  // Its buffer must not come from the heap that is watched.
  Report("rss_start_mib", ResidentMib());
  const int64_t start_ns = NowNs();
  const Blocks blocks = TakeBurst(total_bytes);
  const int64_t taken_ns = NowNs();
  Report("malloc_ns", static_cast<double>(taken_ns - start_ns) / static_cast<double>(blocks.count));
  Report("rss_full_mib", ResidentMib());
  const int64_t free_start_ns = NowNs();
  for (size_t i = 0; i < blocks.count; ++i) std::free(blocks.places[i]);
  Report("free_ns", static_cast<double>(NowNs() - free_start_ns) / static_cast<double>(blocks.count));
  UnmapApart(blocks.places, total_bytes / kLeastBytes * sizeof(char*));
  Report("rss_0s_mib", ResidentMib());
  sleep(1);
  Report("rss_1s_mib", ResidentMib());
  sleep(9);
  Report("rss_10s_mib", ResidentMib());
}

}  // namespace
}  // namespace acre::bench

int main(int count, char** arguments) {
  const size_t mib = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : acre::bench::kDefaultMib;
  acre::bench::Run(mib * 1024 * 1024);
  return 0;
}
