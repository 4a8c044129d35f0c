// hint_probe: says in one line each what the kernel does with address hints, so that a test can see what `hintless`
// changes.
//
//   hint_probe [fork | thread]    probes in the process itself, in a forked child, or in another thread
//   hint_probe spin N             asks for N mappings with a hint each, for measuring what tracing costs

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace {

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

constexpr size_t kBytes = 65536;
constexpr uintptr_t kWanted = uintptr_t{0x00c0} << 32;

void* Map(uintptr_t address, int flags) {
  return mmap(reinterpret_cast<void*>(address), kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

const char* Outcome(void* result, uintptr_t wanted) {
  if (result == MAP_FAILED) return errno == EEXIST ? "EEXIST" : std::strerror(errno);
  return reinterpret_cast<uintptr_t>(result) == wanted ? "granted" : "elsewhere";
}

void Probe() {
  void* hint = Map(kWanted, 0);
  std::printf("hint %s\n", Outcome(hint, kWanted));
  if (hint != MAP_FAILED) munmap(hint, kBytes);

  void* exact = Map(kWanted, MAP_FIXED_NOREPLACE);
  std::printf("noreplace-free %s\n", Outcome(exact, kWanted));
  if (exact != MAP_FAILED) munmap(exact, kBytes);

  void* fixed = Map(kWanted, MAP_FIXED);
  std::printf("fixed %s\n", Outcome(fixed, kWanted));
  void* over = Map(kWanted, MAP_FIXED_NOREPLACE);
  std::printf("noreplace-taken %s\n", Outcome(over, kWanted));
  if (over != MAP_FAILED) munmap(over, kBytes);
  munmap(fixed, kBytes);
  std::fflush(stdout);
}

int Spin(long rounds) {
  for (long i = 0; i < rounds; ++i) {
    void* block = Map(kWanted, 0);
    if (block == MAP_FAILED) return 1;
    munmap(block, kBytes);
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const char* mode = count > 1 ? arguments[1] : "self";
  if (std::strcmp(mode, "spin") == 0 && count > 2) return Spin(std::atol(arguments[2]));
  if (std::strcmp(mode, "thread") == 0) {
    std::thread(Probe).join();
    return 0;
  }
  if (std::strcmp(mode, "fork") == 0) {
    const pid_t child = fork();
    if (child == 0) {
      Probe();
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  }
  Probe();
  return 0;
}
