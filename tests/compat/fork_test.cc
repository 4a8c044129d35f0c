// fork, vfork, posix_spawn and exec from programs whose threads allocate.

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <thread>
#include <vector>

#include "tests/compat/blocks.h"
#include "tests/support/child.h"
#include "tests/support/seed.h"

namespace acre::testing {
namespace {

constexpr unsigned kChildLimitS = 20;  // A child that waits for a lock of a thread it does not have.

int WaitFor(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// Threads that allocate and free without pause for as long as this object lives.
class BusyThreads {
 public:
  explicit BusyThreads(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      threads_.emplace_back([this, i] {
        Random random(i + 1);
        std::vector<void*> blocks(500);
        while (!is_stopped_.load(std::memory_order_relaxed)) {
          void*& slot = blocks[random.Below(blocks.size())];
          free(slot);
          slot = malloc(random.Skewed(random.OneIn(100) ? 20 : 12));
        }
        for (void* block : blocks) free(block);
      });
    }
  }
  ~BusyThreads() {
    is_stopped_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> is_stopped_{false};
  std::vector<std::thread> threads_;
};

// What a forked child does: it uses every kind of block, frees those of the parent, and starts threads of its own.
int UseTheHeap(const std::vector<void*>& inherited) {
  for (void* block : inherited) {
    if (!IsFilled(block, 100, 0x6b)) return 1;
    free(block);
  }
  std::vector<void*> blocks;
  for (size_t bytes = 1; bytes < 2 * kMiB; bytes = bytes * 3 / 2 + 1) blocks.push_back(malloc(bytes));
  for (void* block : blocks) {
    if (block == nullptr) return 2;
    free(block);
  }
  std::thread([] { free(Opaque(malloc(5000))); }).join();
  return 0;
}

TEST(Fork, ThreeHundredForksUnderThreeAllocatingThreads) {
  BusyThreads busy(3);
  std::vector<void*> blocks(1000);
  for (void*& block : blocks) {
    block = malloc(100);
    Fill(block, 100, 0x6b);
  }
  for (int i = 0; i < 300; ++i) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      alarm(kChildLimitS);
      _exit(UseTheHeap(blocks));
    }
    const int status = WaitFor(child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "fork " << i << ", wait status " << status;
  }
  for (void* block : blocks) free(block);
}

TEST(Fork, SeveralThreadsForkAtOnce) {
  BusyThreads busy(1);
  std::atomic<int> failures{0};
  std::vector<std::thread> forkers;
  for (int t = 0; t < 3; ++t) {
    forkers.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const pid_t child = fork();
        if (child == 0) {
          alarm(kChildLimitS);
          _exit(UseTheHeap({}));
        }
        const int status = WaitFor(child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) failures.fetch_add(1);
      }
    });
  }
  for (std::thread& forker : forkers) forker.join();
  EXPECT_EQ(failures.load(), 0);
}

TEST(Fork, GrandchildrenToTheTenthGeneration) {
  BusyThreads busy(2);
  const ChildResult result = RunInChild([] {
    for (int generation = 0; generation < 10; ++generation) {
      const int answer = UseTheHeap({});
      if (answer != 0) return answer;
      const pid_t child = fork();
      if (child != 0) {
        const int status = WaitFor(child);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
      }
      alarm(kChildLimitS);  // Not inherited over fork.
    }
    return 0;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST(Fork, ParentWorksOnWhileChildrenLive) {
  std::vector<void*> blocks(10'000);
  for (void*& block : blocks) {
    block = malloc(100);
    Fill(block, 100, 0x6b);
  }
  const pid_t child = fork();
  if (child == 0) {
    alarm(kChildLimitS);
    int answer = UseTheHeap(blocks);
    _exit(answer);
  }
  for (void* block : blocks) {
    EXPECT_TRUE(IsFilled(block, 100, 0x6b)) << "the child's frees must not be seen here";
    free(block);
  }
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(Vfork, ChildThatExecutesAtOnce) {
  BusyThreads busy(2);
  for (int i = 0; i < 50; ++i) {
    const pid_t child = vfork();
    if (child == 0) {
      execl("/bin/true", "true", static_cast<char*>(nullptr));
      _exit(127);
    }
    ASSERT_EQ(WaitFor(child), 0);
    free(Opaque(malloc(1000)));
  }
}

TEST(PosixSpawn, FromAProgramWithAllocatingThreads) {
  BusyThreads busy(2);
  char name[] = "true";
  char* arguments[] = {name, nullptr};
  for (int i = 0; i < 100; ++i) {
    pid_t child = 0;
    ASSERT_EQ(posix_spawnp(&child, "true", nullptr, nullptr, arguments, environ), 0);
    ASSERT_EQ(WaitFor(child), 0);
  }
}

TEST(System, ShellCommandsAndPipes) {
  BusyThreads busy(2);
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(std::system("true"), 0);
    FILE* pipe = popen("echo word", "r");
    char text[16] = {};
    ASSERT_NE(std::fgets(text, sizeof text, pipe), nullptr);
    ASSERT_EQ(pclose(pipe), 0);
    ASSERT_STREQ(text, "word\n");
  }
}

}  // namespace
}  // namespace acre::testing
