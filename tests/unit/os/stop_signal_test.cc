#include "os/stop_signal.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "os/kernel_bugs.h"
#include "os/memory_calls.h"
#include "tests/unit/os/linux/fresh_kernel_bug_state.h"
#include "tests/unit/os/stop_signal_support.h"

// Who is told of a stop signal, and what it leaves undisturbed. Frames: linux/x86_64/stop_frame_test.cc; the
// application's own handlers: linux/signal_chain_test.cc.

namespace acre::os {
namespace {

// A thread with a target that does nothing but wait to be told to end.
class Waiter {
 public:
  Waiter() : thread_([this] { Run(); }) { WaitUntil([this] { return is_ready_.load(); }); }
  ~Waiter() {
    may_end_ = true;
    thread_.join();
  }

  CountingTarget& target() { return target_; }
  int32_t thread_id() const { return thread_id_; }

 private:
  void Run() {
    StopSignal::Register(target_);
    thread_id_ = CurrentThreadId();
    is_ready_ = true;
    WaitUntil([this] { return may_end_.load(); });
    StopSignal::Unregister(target_);
  }

  CountingTarget target_;
  std::atomic<int32_t> thread_id_{0};
  std::atomic<bool> is_ready_{false};
  std::atomic<bool> may_end_{false};
  std::thread thread_;
};

TEST(StopSignal, InstallIsIdempotentAndOfOneSignal) {
  InFreshProcess([] {
    EXPECT_TRUE(StopSignal::Install(SIGURG));
    EXPECT_TRUE(StopSignal::Install(SIGURG));
    EXPECT_FALSE(StopSignal::Install(SIGUSR1));
    struct sigaction other;
    ASSERT_EQ(sigaction(SIGUSR1, nullptr, &other), 0);
    EXPECT_EQ(other.sa_handler, SIG_DFL);
  });
}

TEST(StopSignal, SignalsThatCannotBeHadAreRefusedAndLeaveTheChoice) {
  InFreshProcess([] {
    for (const int signal : {SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, 0, -1, 32, 1000}) {
      EXPECT_FALSE(StopSignal::Install(signal)) << signal;
    }
    EXPECT_TRUE(StopSignal::Install(SIGUSR2));
  });
}

TEST(StopSignal, ThreadsMayInstallAtOnce) {
  InFreshProcess([] {
    std::atomic<int> installed{0};
    std::vector<std::thread> threads;
    for (int number = 0; number < 8; ++number) {
      threads.emplace_back([&] { installed += StopSignal::Install(SIGURG); });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(installed, 8);
  });
}

TEST(StopSignal, TargetIsCalledOnItsOwnThread) {
  InFreshProcess([] {
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    Waiter first;
    Waiter second;
    StopAndWait(first.target());
    StopAndWait(first.target());
    StopAndWait(second.target());
    EXPECT_EQ(first.target().calls, 2);
    EXPECT_EQ(first.target().last_thread, first.thread_id());
    EXPECT_EQ(second.target().calls, 1);
    EXPECT_EQ(second.target().last_thread, second.thread_id());
  });
}

TEST(StopSignal, AllTargetsOfTheThreadAreCalled) {
  InFreshProcess([] {
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    CountingTarget targets[3];
    for (CountingTarget& target : targets) StopSignal::Register(target);
    StopAndWait(targets[1]);
    WaitUntil([&] { return targets[0].calls + targets[1].calls + targets[2].calls == 3; });
    // The one in the middle, then the newest, then the oldest.
    for (const int leaving : {1, 2, 0}) {
      StopSignal::Unregister(targets[leaving]);
      EXPECT_FALSE(StopSignal::Send(targets[leaving]));
      const int calls_of_leaving = targets[leaving].calls;
      const int calls_of_first = targets[0].calls;
      if (leaving != 0) {
        StopAndWait(targets[0]);
        EXPECT_EQ(targets[0].calls, calls_of_first + 1);
      }
      EXPECT_EQ(targets[leaving].calls, calls_of_leaving);
    }
  });
}

TEST(StopSignal, WithRealTimeSignal) {
  InFreshProcess([] {
    ASSERT_TRUE(StopSignal::Install(SIGRTMIN + 3));
    Waiter waiter;
    StopAndWait(waiter.target());
    EXPECT_EQ(waiter.target().last_thread, waiter.thread_id());
  });
}

TEST(StopSignal, RegisterUnblocksTheSignalAndNoOther) {
  InFreshProcess([] {
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    std::thread([] {
      sigset_t all;
      sigfillset(&all);
      ASSERT_EQ(pthread_sigmask(SIG_SETMASK, &all, nullptr), 0);
      CountingTarget target;
      StopSignal::Register(target);
      StopAndWait(target);
      EXPECT_EQ(target.calls, 1);
      sigset_t after;
      ASSERT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &after), 0);
      EXPECT_EQ(sigismember(&after, SIGURG), 0);
      EXPECT_EQ(sigismember(&after, SIGUSR1), 1);
      StopSignal::Unregister(target);
    }).join();
  });
}

TEST(StopSignal, OtherSignalsWaitUntilOnStopReturns) {
  InFreshProcess([] {
    static std::atomic<int> application_calls;
    struct Blocking : StopTarget {
      std::atomic<int> application_calls_inside{-1};
    } target;
    application_calls = 0;
    signal(SIGUSR1, [](int) { application_calls += 1; });
    target.on_stop = [](StopTarget* self, const StopFrame&) {
      raise(SIGUSR1);
      static_cast<Blocking*>(self)->application_calls_inside = application_calls.load();
    };
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    StopSignal::Register(target);
    ASSERT_TRUE(StopSignal::Send(target));
    WaitUntil([] { return application_calls == 1; });
    EXPECT_EQ(target.application_calls_inside, 0);
    StopSignal::Unregister(target);
  });
}

TEST(StopSignal, ErrnoIsKept) {
  InFreshProcess([] {
    struct Spoiling : StopTarget {
      std::atomic<int> calls{0};
    } target;
    target.on_stop = [](StopTarget* self, const StopFrame&) {
      errno = EXDEV;
      static_cast<Spoiling*>(self)->calls += 1;
    };
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    StopSignal::Register(target);
    errno = 4711;
    const bool is_sent = StopSignal::Send(target);
    while (target.calls == 0) {
      // Nothing here changes errno.
    }
    const int after = errno;
    EXPECT_TRUE(is_sent);
    EXPECT_EQ(after, 4711);
    StopSignal::Unregister(target);
  });
}

TEST(StopSignal, SendToAThreadThatIsGoneSaysSo) {
  InFreshProcess([] {
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    CountingTarget target;
    EXPECT_FALSE(StopSignal::Send(target));
    EXPECT_FALSE(StopSignal::IsGone(target)) << "it is not registered";
    StopSignal::Register(target);
    EXPECT_FALSE(StopSignal::IsGone(target));
    StopSignal::Unregister(target);
    int32_t thread_id = 0;
    std::thread([&] { thread_id = CurrentThreadId(); }).join();
    // The thread may still be ending in the kernel when join returns.
    const std::string path = "/proc/self/task/" + std::to_string(thread_id);
    WaitUntil([&] { return access(path.c_str(), F_OK) != 0; });
    target.thread_id = thread_id;  // As if it had been read a moment before the thread unregistered and ended.
    EXPECT_FALSE(StopSignal::Send(target));
    EXPECT_TRUE(StopSignal::IsGone(target));
    EXPECT_EQ(target.calls, 0);
  });
}

// Handlers may run only while the target is registered, as the thread itself sees it.
struct GuardedTarget : StopTarget {
  std::atomic<int32_t> owner{0};  // The thread that is registered, about to be, or about to have been.
  std::atomic<int> calls{0};
  std::atomic<int> wrong_calls{0};
};

void CallGuarded(StopTarget* self, const StopFrame&) {
  auto& target = *static_cast<GuardedTarget*>(self);
  target.calls += 1;
  if (target.owner != CurrentThreadId()) target.wrong_calls += 1;
}

TEST(StopSignal, NoCallComesAfterUnregisterHoweverManyAreSent) {
  InFreshProcess([] {
    constexpr int kRounds = 20'000;
    constexpr int kLeastCalls = 100;
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    GuardedTarget target;
    target.on_stop = CallGuarded;
    CountingTarget neighbour;  // So that the list is never empty.
    std::atomic<bool> is_done{false};
    std::thread owner([&] {
      StopSignal::Register(neighbour);
      for (int round = 0; round < kRounds || target.calls < kLeastCalls; ++round) {
        target.owner = CurrentThreadId();
        StopSignal::Register(target);
        StopSignal::Unregister(target);
        target.owner = 0;
      }
      StopSignal::Unregister(neighbour);
      is_done = true;
    });
    int sent = 0;
    while (!is_done) sent += StopSignal::Send(target);
    owner.join();
    std::printf("sent %d, called %d\n", sent, target.calls.load());
    EXPECT_EQ(target.wrong_calls, 0);
  });
}

TEST(StopSignal, ThreadsMayEndWhileTheyAreSentSignals) {
  InFreshProcess([] {
    constexpr int kThreads = 300;
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    GuardedTarget target;
    target.on_stop = CallGuarded;
    std::atomic<bool> is_done{false};
    std::thread sender([&] {
      while (!is_done) (void)StopSignal::Send(target);
    });
    for (int number = 0; number < kThreads; ++number) {
      std::thread([&] {
        target.owner = CurrentThreadId();
        StopSignal::Register(target);
        StopSignal::Unregister(target);
        target.owner = 0;
      }).join();
    }
    is_done = true;
    sender.join();
    EXPECT_EQ(target.wrong_calls, 0);
  });
}

// The state that the kernel shows for a thread: S when it sleeps.
char StateOf(int32_t thread_id) {
  std::ifstream file("/proc/self/task/" + std::to_string(thread_id) + "/stat");
  std::string line;
  std::getline(file, line);
  const size_t end_of_name = line.rfind(')');
  return end_of_name == std::string::npos ? '?' : line[end_of_name + 2];
}

TEST(StopSignal, ReadThatIsInterruptedGoesOn) {
  if (kHandlersAreDelayed) GTEST_SKIP() << "the thread sanitizer puts handlers off until the read is over";
  InFreshProcess([] {
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    CountingTarget target;
    std::atomic<int32_t> thread_id{0};
    std::thread reader([&] {
      StopSignal::Register(target);
      thread_id = CurrentThreadId();
      char byte = 0;
      errno = 0;
      const ssize_t got = read(ends[0], &byte, 1);  // The only thing that this thread ever sleeps in.
      EXPECT_EQ(got, 1) << "errno " << errno;
      EXPECT_EQ(byte, 'x');
      StopSignal::Unregister(target);
    });
    WaitUntil([&] { return thread_id != 0 && StateOf(thread_id) == 'S'; });
    StopAndWait(target);
    WaitUntil([&] { return StateOf(thread_id) == 'S'; });
    StopAndWait(target);
    EXPECT_EQ(write(ends[1], "x", 1), 1);
    reader.join();
    EXPECT_EQ(target.calls, 2);
  });
}

TEST(StopSignal, ThreadThatForkedIsReachedInTheChild) {
  InFreshProcess([] {
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    CountingTarget target;
    StopSignal::Register(target);
    const pid_t child = fork();
    if (child == 0) {
      const bool is_new = target.thread_id == CurrentThreadId();
      StopSignal::Verify();
      if (!is_new || !StopSignal::Install(SIGURG) || !StopSignal::Send(target)) _exit(1);
      WaitUntil([&] { return target.calls == 1; });
      StopSignal::Unregister(target);
      _exit(target.calls == 1 ? 0 : 2);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(target.calls, 0);
    StopAndWait(target);
    StopSignal::Unregister(target);
  });
}

// A lock that another thread holds at the moment of the fork would stay locked in the child.
TEST(StopSignal, ChildOfAForkMayVerifyThoughAnotherThreadWasVerifying) {
  InFreshProcess([] {
    constexpr int kForks = 100;
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    std::atomic<bool> is_done{false};
    std::thread verifier([&] {
      while (!is_done) StopSignal::Verify();
    });
    for (int number = 0; number < kForks; ++number) {
      const pid_t child = fork();
      if (child == 0) {
        alarm(10);
        StopSignal::Verify();
        _exit(0);
      }
      int status = -1;
      EXPECT_EQ(waitpid(child, &status, 0), child);
      EXPECT_EQ(status, 0);
    }
    is_done = true;
    verifier.join();
  });
}

// A signal stack of the application's: pages of zeros that nobody has touched.
class OwnSignalStack {
 public:
  static constexpr size_t kBytes = 64 * 1024;

  OwnSignalStack()
      : memory_(static_cast<char*>(mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {}
  ~OwnSignalStack() { Unmap(); }

  void Install() const {
    const stack_t stack = {memory_, 0, kBytes};
    ASSERT_EQ(sigaltstack(&stack, nullptr), 0);
  }
  void Unmap() const { munmap(memory_, kBytes); }
  void Drop() const { madvise(memory_, kBytes, MADV_DONTNEED); }

  // Whether its lowest and its highest page are in memory.
  bool HasBottom() const { return IsResident(memory_); }
  bool HasTop() const { return IsResident(memory_ + kBytes - OsPageBytes()); }

 private:
  static bool IsResident(char* page) {
    unsigned char residency = 0;
    EXPECT_EQ(mincore(page, 1, &residency), 0);
    return (residency & 1) != 0;
  }

  char* memory_;
};

void Disable() {
  stack_t none = {};
  none.ss_flags = SS_DISABLE;
  ASSERT_EQ(sigaltstack(&none, nullptr), 0);
}

void Mask(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGURG);
  ASSERT_EQ(pthread_sigmask(how, &set, nullptr), 0);
}

// The signal is sent while the thread has it blocked, so that what is in memory then was brought there by the sender.
TEST(StopSignal, StackOfTheApplicationIsTouchedBeforeASignalOnAnAffectedKernelOnly) {
  for (const bool is_affected : {false, true}) {
    const testing::ChildResult result = RunWithDebug(is_affected ? "kernelbug=1" : "kernelbug=0", [is_affected] {
      if (HasSignalVectorBug() != is_affected || !StopSignal::Install(SIGURG)) return 2;
      const OwnSignalStack stack;
      stack.Install();
      CountingTarget target;
      StopSignal::Register(target);
      Mask(SIG_BLOCK);
      EXPECT_FALSE(stack.HasTop());
      EXPECT_TRUE(StopSignal::Send(target));
      EXPECT_EQ(stack.HasTop(), is_affected);
      EXPECT_FALSE(stack.HasBottom());
      Mask(SIG_UNBLOCK);
      WaitUntil([&] { return target.calls == 1; });
      StopSignal::Unregister(target);
      Disable();
      return ::testing::Test::HasFailure() ? 1 : 0;
    });
    EXPECT_TRUE(result.exited_with(0)) << is_affected << " " << result.Describe();
  }
}

TEST(StopSignal, StackThatTheApplicationHasChangedIsTouchedAfterTheNextSignal) {
  const testing::ChildResult result = RunWithDebug("kernelbug=1", [] {
    if (!StopSignal::Install(SIGURG)) return 2;
    CountingTarget target;
    StopSignal::Register(target);
    const OwnSignalStack stack;
    stack.Install();
    StopAndWait(target);
    stack.Drop();
    Mask(SIG_BLOCK);
    EXPECT_TRUE(StopSignal::Send(target));
    EXPECT_TRUE(stack.HasTop());
    Mask(SIG_UNBLOCK);
    WaitUntil([&] { return target.calls == 2; });
    StopSignal::Unregister(target);
    Disable();
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST(StopSignal, StackThatTheApplicationHasUnmappedDoesNoHarm) {
  const testing::ChildResult result = RunWithDebug("kernelbug=1", [] {
    if (!StopSignal::Install(SIGURG)) return 2;
    CountingTarget target;
    {
      const OwnSignalStack stack;
      stack.Install();
      StopSignal::Register(target);
      Mask(SIG_BLOCK);
    }
    EXPECT_TRUE(StopSignal::Send(target));
    Disable();
    Mask(SIG_UNBLOCK);
    WaitUntil([&] { return target.calls == 1; });
    StopSignal::Unregister(target);
    return ::testing::Test::HasFailure() ? 1 : 0;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

}  // namespace
}  // namespace acre::os
