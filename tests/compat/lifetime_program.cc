// A program that uses its heap at the edges of a process's life: before main, in atexit handlers, in destructors of
// statics, and in threads that are still running when main returns. lifetime_test runs it and wants exit status 0.

#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace {

void* early_block = nullptr;

// Runs before the constructors of C++ statics.
__attribute__((constructor(101))) void AllocateEarly() {
  early_block = std::malloc(1000);
  std::memset(early_block, 0x31, 1000);
}

std::map<std::string, std::string> static_map = [] {
  std::map<std::string, std::string> made;
  for (int i = 0; i < 1000; ++i) made[std::to_string(i)] = std::string(static_cast<size_t>(i), 'z');
  return made;
}();

struct LastWords {
  ~LastWords() {
    std::vector<void*> blocks;
    for (size_t i = 0; i < 1000; ++i) blocks.push_back(std::malloc(i));
    for (void* block : blocks) std::free(block);
    static_map.clear();
  }
} last_words;

void AtExit() {
  static std::vector<std::string> words;
  for (int i = 0; i < 100; ++i) words.push_back(std::string(1000, 'a'));
  std::free(early_block);
  early_block = std::realloc(nullptr, 10);
  // From inside an exit handler another one may be registered, which allocates in the C library.
  std::atexit([] { std::free(std::malloc(100'000)); });
}

__attribute__((destructor)) void FreeLate() { std::free(early_block); }

}  // namespace

int main(int count, char** arguments) {
  for (size_t i = 0; i < 1000; ++i) {
    if (static_cast<char*>(early_block)[i] != 0x31) return 2;
  }
  if (static_map.size() != 1000) return 3;
  std::atexit(AtExit);
  std::atomic<int> running{0};
  if (count > 1 && std::strcmp(arguments[1], "threads") == 0) {
    // These allocate until the process is gone, through all exit handlers.
    for (int i = 0; i < 4; ++i) {
      std::thread([&running] {
        ++running;
        for (size_t n = 0;; ++n) std::free(std::malloc(n % 50'000));
      }).detach();
    }
    while (running < 4) usleep(100);
    std::exit(0);
  }
  return 0;
}
