// Before main, after main, in destructors of thread-local data, and across dlopen and dlclose.

#include <gtest/gtest.h>
#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/compat/blocks.h"
#include "tests/support/child.h"
#include "tests/support/process_memory.h"

namespace acre::testing {
namespace {

std::string PathFromEnvironment(const char* name) {
  const char* path = std::getenv(name);
  return path != nullptr ? path : "";
}

TEST(Lifetime, ConstructorsExitHandlersAndStaticDestructors) {
  const std::string program = PathFromEnvironment("COMPAT_LIFETIME_PROGRAM");
  ASSERT_NE(program, "");
  const ChildResult result = RunCommand({program});
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_EQ(result.error_output, "");
}

TEST(Lifetime, ExitWhileThreadsAllocate) {
  const std::string program = PathFromEnvironment("COMPAT_LIFETIME_PROGRAM");
  ASSERT_NE(program, "");
  for (int round = 0; round < 20; ++round) {
    const ChildResult result = RunCommand({program, "threads"}, {}, 20);
    ASSERT_TRUE(result.exited_with(0)) << result.Describe();
    ASSERT_EQ(result.error_output, "");
  }
}

// Destructors of pthread keys that free, allocate, and set the value again: the C library then runs another round, up to
// PTHREAD_DESTRUCTOR_ITERATIONS. The malloc's own destructor may run before, between or after them.
pthread_key_t keys[8];
std::atomic<long> destructor_runs{0};

struct KeyValue {
  int rounds_left;
  size_t key;
};

void DestroyKeyValue(void* pointer) {
  auto* value = static_cast<KeyValue*>(pointer);
  destructor_runs.fetch_add(1);
  std::vector<void*> blocks;
  for (size_t bytes : {0ul, 10ul, 1000ul, 40'000ul, 300'000ul}) blocks.push_back(std::malloc(bytes));
  for (void* block : blocks) std::free(block);
  if (value->rounds_left > 0) {
    auto* next = static_cast<KeyValue*>(std::malloc(sizeof(KeyValue)));
    *next = {value->rounds_left - 1, value->key};
    pthread_setspecific(keys[value->key], next);
  }
  std::free(value);
}

TEST(Lifetime, KeyDestructorsOfSeveralRoundsAllocateAndFree) {
  for (pthread_key_t& key : keys) ASSERT_EQ(pthread_key_create(&key, DestroyKeyValue), 0);
  destructor_runs = 0;
  constexpr int kThreads = 200;
  for (int i = 0; i < kThreads; ++i) {
    std::thread([] {
      for (size_t k = 0; k < std::size(keys); ++k) {
        auto* value = static_cast<KeyValue*>(std::malloc(sizeof(KeyValue)));
        *value = {3, k};
        pthread_setspecific(keys[k], value);
      }
    }).join();
  }
  EXPECT_EQ(destructor_runs.load(), kThreads * 8 * 4);
  for (pthread_key_t& key : keys) pthread_key_delete(key);
}

TEST(Lifetime, ThreadThatFirstAllocatesInADestructor) {
  pthread_key_t key;
  static std::atomic<int> runs{0};
  ASSERT_EQ(pthread_key_create(&key, [](void*) {
              std::free(Opaque(std::malloc(100)));
              ++runs;
            }),
            0);
  pthread_t thread;
  struct Bare {
    static void* Run(void* key) {
      pthread_setspecific(*static_cast<pthread_key_t*>(key), key);
      return nullptr;
    }
  };
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(pthread_create(&thread, nullptr, Bare::Run, &key), 0);
    pthread_join(thread, nullptr);
  }
  EXPECT_EQ(runs.load(), 100);
  pthread_key_delete(key);
}

struct ThreadData {
  std::vector<std::string> words = std::vector<std::string>(50, std::string(200, 'q'));
  ~ThreadData() {
    words.resize(100, std::string(500, 'r'));
    destructor_runs.fetch_add(1);
  }
};

TEST(Lifetime, ThreadLocalObjectsAllocateInTheirDestructors) {
  destructor_runs = 0;
  for (int i = 0; i < 200; ++i) {
    std::thread([] {
      thread_local ThreadData data;
      thread_local std::vector<std::string> more(10, std::string(300, 's'));
      Opaque(&data);
      Opaque(&more);
    }).join();
  }
  EXPECT_EQ(destructor_runs.load(), 200);
}

using PluginWork = size_t (*)(size_t);
using PluginAllocate = void* (*)(size_t);

TEST(Lifetime, LibraryLoadedAndUnloadedOverAndOver) {
  const std::string path = PathFromEnvironment("COMPAT_PLUGIN");
  ASSERT_NE(path, "");
  size_t settled = 0;
  constexpr int kRounds = 300;
  for (int round = 0; round < kRounds; ++round) {
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    const auto work = reinterpret_cast<PluginWork>(dlsym(library, "PluginWork"));
    const auto allocate = reinterpret_cast<PluginAllocate>(dlsym(library, "PluginAllocate"));
    std::thread([&] { EXPECT_EQ(work(100), 200u); }).join();
    void* block = allocate(1000);
    ASSERT_EQ(dlclose(library), 0);
    std::free(block);
    if (round == kRounds / 3) settled = ResidentBytes();
  }
  EXPECT_LE(ResidentBytes(), settled + 2 * kMiB);
}

}  // namespace
}  // namespace acre::testing
