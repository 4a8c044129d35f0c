// The stress program on malloc, whichever is preloaded, with forks in between.

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "tests/stress/malloc_stress_body.h"
#include "tests/support/malloc_library.h"

namespace acre::stress {
namespace {

struct MallocHandle {
  struct Shared {};
  explicit MallocHandle(Shared&) {}

  void* Allocate(size_t bytes) { return malloc(bytes); }
  void* AllocateZeroed(size_t bytes) { return calloc(bytes, 1); }
  void* AllocateAligned(size_t bytes, size_t alignment) {
    void* block = nullptr;
    return posix_memalign(&block, alignment, bytes) == 0 ? block : nullptr;
  }
  void* Reallocate(void* block, size_t bytes) { return realloc(block, bytes); }
  void Free(void* block) { free(block); }
};

constexpr unsigned kChildLimitS = 60;
constexpr useconds_t kBetweenForksUs = 50'000;

// Forks while all threads work; the child frees the shared blocks, works itself, and must end well.
int ForkUntilOver(Stress<MallocHandle>& stress, uint64_t seed) {
  int forks = 0;
  for (; !stress.IsOver(); ++forks) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(kChildLimitS);  // A lock held by a thread that the child does not have shows as a hang.
      stress.FreeShared();
      stress.Generation(seed + static_cast<uint64_t>(forks));
      _exit(0);
    }
    if (child > 0) {
      int status = 0;
      while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
      }
      if (status != 0) {
        std::fprintf(stderr, "stress: forked child number %d ended with wait status %d\n", forks, status);
        std::abort();
      }
    }
    usleep(kBetweenForksUs);
  }
  return forks;
}

int Main() {
  if (!testing::MallocIsAsExpected()) return 1;
  const Settings settings = SettingsFromEnvironment();
  MallocHandle::Shared shared;
  Stress<MallocHandle> stress(shared, settings);
  int forks = 0;
  std::thread forker([&] { forks = ForkUntilOver(stress, settings.seed); });
  const uint64_t steps = stress.Run();
  forker.join();
  std::printf("%llu steps, %d forks\n", static_cast<unsigned long long>(steps), forks);
  return steps > 0 ? 0 : 1;
}

}  // namespace
}  // namespace acre::stress

int main() { return acre::stress::Main(); }
