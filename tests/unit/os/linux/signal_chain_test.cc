#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

#include "tests/unit/os/stop_signal_support.h"

// The application's own handlers for the signal by which threads are stopped run for the application's own signals,
// and for no others.

namespace acre::os {
namespace {

std::atomic<int> calls;           // Of the handlers below, whichever is installed.
std::atomic<int> last_code;
std::atomic<void*> last_value;
std::atomic<int> outer_calls;

void OnApplicationSignal(int, siginfo_t* info, void*) {
  last_code = info->si_code;
  last_value = info->si_value.sival_ptr;
  calls += 1;
}

void OnPlainSignal(int) { calls += 1; }

void InstallInformed(int signal, void (*handler)(int, siginfo_t*, void*), int flags = 0) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  ASSERT_EQ(sigaction(signal, &action, nullptr), 0);
}

void InstallPlain(int signal, void (*handler)(int), int flags = 0) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  ASSERT_EQ(sigaction(signal, &action, nullptr), 0);
}

long SendPlain(int signal) { return syscall(SYS_tgkill, getpid(), CurrentThreadId(), signal); }

// What the kernel does with a signal that the thread sends to itself is over when the call returns; the thread
// sanitizer takes longer.
void WaitForCalls(int wanted) {
  WaitUntil([&] { return calls >= wanted; });
}

// Each way to send, between stops of our own; each time exactly one more call of exactly one of them.
void ExpectApplicationGetsItsOwn(int signal, CountingTarget& target) {
  const int before = calls;
  StopAndWait(target);
  EXPECT_EQ(calls, before);
  ASSERT_EQ(SendPlain(signal), 0);
  WaitForCalls(before + 1);
  StopAndWait(target);
  ASSERT_EQ(pthread_sigqueue(pthread_self(), signal, {.sival_ptr = &calls}), 0);
  WaitForCalls(before + 2);
  StopAndWait(target);
  ASSERT_EQ(raise(signal), 0);
  WaitForCalls(before + 3);
  StopAndWait(target);
  ASSERT_EQ(kill(getpid(), signal), 0);
  WaitForCalls(before + 4);
  StopAndWait(target);
  EXPECT_EQ(calls, before + 4);
}

class AnySignal : public ::testing::TestWithParam<int> {};

TEST_P(AnySignal, HandlerFromBeforeOursRunsExactlyForItsSignals) {
  InFreshProcess([] {
    const int signal = GetParam();
    InstallInformed(signal, OnApplicationSignal);
    ASSERT_TRUE(StopSignal::Install(signal));
    CountingTarget target;
    StopSignal::Register(target);
    ExpectApplicationGetsItsOwn(signal, target);
    StopSignal::Unregister(target);
  });
}

TEST_P(AnySignal, HandlerFromAfterOursRunsExactlyForItsSignals) {
  InFreshProcess([] {
    const int signal = GetParam();
    ASSERT_TRUE(StopSignal::Install(signal));
    CountingTarget target;
    StopSignal::Register(target);
    InstallPlain(signal, OnPlainSignal);
    StopSignal::Verify();
    ExpectApplicationGetsItsOwn(signal, target);
    InstallInformed(signal, OnApplicationSignal);  // And once more.
    StopSignal::Verify();
    ExpectApplicationGetsItsOwn(signal, target);
    StopSignal::Unregister(target);
  });
}

INSTANTIATE_TEST_SUITE_P(Each, AnySignal, ::testing::Values(SIGURG, SIGUSR1),
                         [](const ::testing::TestParamInfo<int>& instance) {
                           return instance.index == 0 ? "Urg" : "Usr1";
                         });

TEST(SignalChain, HandlerGetsWhatItsSignalCarries) {
  InFreshProcess([] {
    InstallInformed(SIGURG, OnApplicationSignal);
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    int mine = 0;
    ASSERT_EQ(pthread_sigqueue(pthread_self(), SIGURG, {.sival_ptr = &mine}), 0);
    WaitForCalls(1);
    EXPECT_EQ(last_code, SI_QUEUE);
    EXPECT_EQ(last_value, &mine);
    ASSERT_EQ(SendPlain(SIGURG), 0);
    WaitForCalls(2);
    EXPECT_EQ(last_code, SI_TKILL);
  });
}

TEST(SignalChain, HandlerOfThreadsWithoutTargetRunsToo) {
  InFreshProcess([] {
    InstallInformed(SIGURG, OnApplicationSignal);
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    std::thread([] {
      EXPECT_EQ(SendPlain(SIGURG), 0);
      WaitForCalls(1);
    }).join();
    EXPECT_EQ(calls, 1);
  });
}

TEST(SignalChain, StopsWorkAgainAfterVerifyWhenOursWasReplaced) {
  InFreshProcess([] {
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    CountingTarget target;
    StopSignal::Register(target);
    InstallPlain(SIGURG, OnPlainSignal);
    ASSERT_TRUE(StopSignal::Send(target));  // Is theirs alone, for once.
    WaitForCalls(1);
    EXPECT_EQ(target.calls, 0);
    StopSignal::Verify();
    StopAndWait(target);
    EXPECT_EQ(target.calls, 1);
    EXPECT_EQ(calls, 1);
    StopSignal::Unregister(target);
  });
}

TEST(SignalChain, OurSignalEndsNoProcessWhateverTheDefaultIs) {
  InFreshProcess([] {
    ASSERT_TRUE(StopSignal::Install(SIGUSR1));  // The default would end the process.
    CountingTarget target;
    StopSignal::Register(target);
    StopAndWait(target);
    StopSignal::Unregister(target);
    target.thread_id = CurrentThreadId();  // As if Send had read it before Unregister.
    EXPECT_TRUE(StopSignal::Send(target));
  });
}

TEST(SignalChain, DefaultOfUrgIsToIgnore) {
  InFreshProcess([] {
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    EXPECT_EQ(raise(SIGURG), 0);
    EXPECT_EQ(SendPlain(SIGURG), 0);
  });
}

TEST(SignalChain, IgnoredSignalStaysIgnored) {
  InFreshProcess([] {
    signal(SIGUSR1, SIG_IGN);
    ASSERT_TRUE(StopSignal::Install(SIGUSR1));
    EXPECT_EQ(raise(SIGUSR1), 0);
  });
}

TEST(SignalChain, ApplicationsSignalHasItsDefaultEffect) {
  const auto result = acre::testing::RunInChild([] {
    if (!StopSignal::Install(SIGUSR1)) return 1;
    raise(SIGUSR1);
    WaitUntil([] { return false; });
    return 2;
  });
  EXPECT_TRUE(result.killed_by(SIGUSR1)) << result.Describe();
}

TEST(SignalChain, HandlerForOneSignalRunsOnceAndThenTheDefaultHolds) {
  InFreshProcess([] {
    InstallPlain(SIGURG, OnPlainSignal, static_cast<int>(SA_RESETHAND));
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    for (int number = 0; number < 3; ++number) EXPECT_EQ(SendPlain(SIGURG), 0);
    WaitForCalls(1);
    EXPECT_EQ(calls, 1);
    InstallPlain(SIGURG, OnPlainSignal, static_cast<int>(SA_RESETHAND));
    StopSignal::Verify();
    EXPECT_EQ(SendPlain(SIGURG), 0);
    WaitForCalls(2);
  });
}

sigset_t mask_in_handler;

TEST(SignalChain, HandlerRunsUnderItsOwnMask) {
  if (kHandlersAreDelayed) GTEST_SKIP() << "the thread sanitizer blocks all signals while a handler runs";
  InFreshProcess([] {
    struct sigaction action = {};
    action.sa_handler = [](int) {
      pthread_sigmask(SIG_SETMASK, nullptr, &mask_in_handler);
      calls += 1;
    };
    sigaddset(&action.sa_mask, SIGUSR2);
    ASSERT_EQ(sigaction(SIGURG, &action, nullptr), 0);
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGHUP);
    ASSERT_EQ(pthread_sigmask(SIG_SETMASK, &blocked, nullptr), 0);
    ASSERT_EQ(SendPlain(SIGURG), 0);
    WaitForCalls(1);
    for (const int signal : {SIGUSR1, SIGUSR2, SIGURG, SIGHUP, SIGTERM}) {
      const bool is_expected = signal == SIGUSR2 || signal == SIGURG || signal == SIGHUP;
      EXPECT_EQ(sigismember(&mask_in_handler, signal), is_expected ? 1 : 0) << signal;
    }
    sigset_t after;
    ASSERT_EQ(pthread_sigmask(SIG_SETMASK, nullptr, &after), 0);
    EXPECT_EQ(sigismember(&after, SIGURG), 0);
    EXPECT_EQ(sigismember(&after, SIGUSR2), 0);
    EXPECT_EQ(sigismember(&after, SIGHUP), 1);
  });
}

// A handler that calls what it replaced.
struct sigaction replaced_by_outer;

void OnOuterSignal(int signal, siginfo_t* info, void* context) {
  outer_calls += 1;
  if ((replaced_by_outer.sa_flags & SA_SIGINFO) != 0) replaced_by_outer.sa_sigaction(signal, info, context);
}

void InstallOuter(int signal) {
  struct sigaction action = {};
  action.sa_sigaction = OnOuterSignal;
  action.sa_flags = SA_SIGINFO;
  ASSERT_EQ(sigaction(signal, &action, &replaced_by_outer), 0);
}

TEST(SignalChain, HandlerThatCallsWhatItReplacedIsNoCircle) {
  InFreshProcess([] {
    InstallInformed(SIGURG, OnApplicationSignal);
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    InstallOuter(SIGURG);
    // First with theirs on top of ours, then, after Verify, with ours on top of theirs on top of ours.
    for (int number = 1; number <= 3; ++number) {
      EXPECT_EQ(SendPlain(SIGURG), 0);
      WaitForCalls(number);
      EXPECT_EQ(outer_calls, number);
      EXPECT_EQ(calls, number);
      StopSignal::Verify();
    }
  });
}

sigjmp_buf jump;

TEST(SignalChain, HandlerMayLeaveByJump) {
  if (kHandlersAreDelayed) GTEST_SKIP() << "the thread sanitizer does not follow jumps out of handlers";
  InFreshProcess([] {
    InstallInformed(SIGURG, [](int, siginfo_t*, void*) {
      calls += 1;
      siglongjmp(jump, 1);
    });
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    static int number;  // Not in a register, which the jump would set back.
    for (number = 1; number <= 3; ++number) {
      if (sigsetjmp(jump, 1) == 0) {
        SendPlain(SIGURG);
        ADD_FAILURE() << "the handler has not run";
      }
      EXPECT_EQ(calls, number);
    }
  });
}

TEST(SignalChain, ApplicationThatKeepsChangingHandlersKeepsGettingItsSignals) {
  InFreshProcess([] {
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    CountingTarget target;
    StopSignal::Register(target);
    for (int number = 1; number <= 200; ++number) {
      if (number % 2 == 0) {
        InstallPlain(SIGURG, OnPlainSignal);
      } else {
        InstallInformed(SIGURG, OnApplicationSignal);
      }
      StopSignal::Verify();
      StopAndWait(target);
      EXPECT_EQ(SendPlain(SIGURG), 0);
      WaitForCalls(number);
      EXPECT_EQ(calls, number);
    }
    StopSignal::Unregister(target);
  });
}

// With no room in the user's queue the kernel delivers our signal without its mark.
TEST(SignalChain, FullSignalQueueDoesNotMakeOursTheApplications) {
  InFreshProcess([] {
    InstallInformed(SIGURG, OnApplicationSignal);
    ASSERT_TRUE(StopSignal::Install(SIGURG));
    CountingTarget target;
    StopSignal::Register(target);
    struct rlimit none = {};
    ASSERT_EQ(setrlimit(RLIMIT_SIGPENDING, &none), 0);
    for (int number = 0; number < 3; ++number) StopAndWait(target);
    EXPECT_EQ(calls, 0);
    EXPECT_EQ(SendPlain(SIGURG), 0);  // The kernel keeps room for this way to send.
    WaitForCalls(1);
    StopSignal::Unregister(target);
  });
}

}  // namespace
}  // namespace acre::os
