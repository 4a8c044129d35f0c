// Each test runs over epoll and over kqueue: the latter on a stand-in for the system's calls.

#include "os/poller.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <limits>
#include <ostream>
#include <set>
#include <thread>
#include <vector>

#include "os/clock.h"
#include "os/kqueue/poll_calls.h"
#include "tests/support/child.h"
#include "tests/support/descriptors.h"
#include "tests/support/refuse.h"

namespace acre::os {
namespace {

using testing::ChildResult;
using testing::CountOpen;
using testing::IsOpen;
using testing::OpenDescriptors;
using testing::OpenedSince;
using testing::Refuse;
using testing::RunInChild;

constexpr uint64_t kForever = std::numeric_limits<uint64_t>::max();
constexpr uint64_t kLongNs = 30 * kNsPerSecond;  // Only a test that fails waits for it.
constexpr uint64_t kShortNs = 2 * kNsPerMs;      // Waited for in vain.
constexpr int kHighNumber = 512;

struct Implementation {
  const char* name;
  const PollCalls& (*calls)();

  friend void PrintTo(const Implementation& implementation, std::ostream* out) { *out << implementation.name; }
};

class PollerTest : public ::testing::TestWithParam<Implementation> {
 protected:
  const PollCalls& calls() const { return GetParam().calls(); }
  Poller poller_{calls()};
};

INSTANTIATE_TEST_SUITE_P(On, PollerTest,
                         ::testing::Values(Implementation{"Epoll", SystemPollCalls},
                                           Implementation{"Kqueue", KqueuePollCalls}),
                         [](const auto& implementation) { return implementation.param.name; });

bool IsTime(Poller::Heard heard) { return !heard.is_woken && !heard.is_pressed; }
bool IsWake(Poller::Heard heard) { return heard.is_woken && !heard.is_pressed; }
bool IsPressure(Poller::Heard heard) { return !heard.is_woken && heard.is_pressed; }

// All that a poller does without the system's word on pressure.
bool Works(Poller& poller) {
  poller.Wake();
  if (!IsWake(poller.Wait(kForever)) || !IsTime(poller.Wait(0)) || !IsTime(poller.Wait(kShortNs))) return false;
  poller.Press();
  if (!IsPressure(poller.Wait(kForever))) return false;
  std::thread waker([&] { poller.Wake(); });
  const bool is_woken = IsWake(poller.Wait(kLongNs));
  waker.join();
  return is_woken;
}

// ---- Calls and time -------------------------------------------------------------------------------------------------

TEST_P(PollerTest, ACallBeforeTheWaitIsNotLostAndIsTakenOnce) {
  ASSERT_EQ(poller_.Open(), 0);
  poller_.Wake();
  EXPECT_TRUE(IsWake(poller_.Wait(kForever)));
  EXPECT_TRUE(IsTime(poller_.Wait(0)));
  EXPECT_TRUE(IsTime(poller_.Wait(kShortNs)));
  EXPECT_EQ(poller_.error(), 0);
}

TEST_P(PollerTest, CallsUntilTheWaitAreOne) {
  ASSERT_EQ(poller_.Open(), 0);
  constexpr int kCalls = 100'000;  // More than a socket holds.
  for (int i = 0; i < kCalls; ++i) poller_.Wake();
  EXPECT_TRUE(IsWake(poller_.Wait(kForever)));
  EXPECT_TRUE(IsTime(poller_.Wait(kShortNs)));
  poller_.Wake();
  EXPECT_TRUE(IsWake(poller_.Wait(kForever)));
}

TEST_P(PollerTest, PressureAndCallsAreToldApart) {
  ASSERT_EQ(poller_.Open(), 0);
  poller_.Press();
  EXPECT_TRUE(IsPressure(poller_.Wait(kForever)));
  poller_.Wake();
  poller_.Press();
  const Poller::Heard both = poller_.Wait(kForever);
  EXPECT_TRUE(both.is_woken);
  EXPECT_TRUE(both.is_pressed);
  EXPECT_TRUE(IsTime(poller_.Wait(0)));
}

TEST_P(PollerTest, ACallDuringTheWaitEndsIt) {
  ASSERT_EQ(poller_.Open(), 0);
  constexpr int kRounds = 2000;
  std::atomic<int> answered = 0;
  std::thread waiter([&] {
    for (int i = 0; i < kRounds; ++i) {
      if (!IsWake(poller_.Wait(kLongNs))) return;
      ++answered;
    }
  });
  for (int i = 0; i < kRounds; ++i) {
    poller_.Wake();
    const uint64_t began_ns = MonotonicNs();
    while (answered <= i && MonotonicNs() - began_ns < kLongNs) std::this_thread::yield();
  }
  waiter.join();
  EXPECT_EQ(answered, kRounds);
}

// Whoever calls has counted before: what is counted and not seen shows a call that was lost.
TEST_P(PollerTest, OfManyThreadsNoCallIsLost) {
  ASSERT_EQ(poller_.Open(), 0);
  constexpr int kThreads = 3;
  constexpr int kCalls = 5000;
  std::atomic<int> counted = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < kThreads; ++i) {
    callers.emplace_back([&] {
      for (int call = 0; call < kCalls; ++call) {
        ++counted;
        poller_.Wake();
      }
    });
  }
  int seen = 0;
  while (seen < kThreads * kCalls && IsWake(poller_.Wait(kLongNs))) seen = counted;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(seen, kThreads * kCalls);
}

TEST_P(PollerTest, TheWaitEndsAfterItsTimeAndNotBefore) {
  ASSERT_EQ(poller_.Open(), 0);
  for (const uint64_t time_ns : {uint64_t{1}, kShortNs, 20 * kNsPerMs + 1}) {
    const uint64_t began_ns = MonotonicNs();
    EXPECT_TRUE(IsTime(poller_.Wait(time_ns)));
    EXPECT_GE(MonotonicNs() - began_ns, time_ns);
  }
}

TEST_P(PollerTest, ASignalDoesNotEndTheWait) {
  ASSERT_EQ(poller_.Open(), 0);
  struct sigaction action {};
  action.sa_handler = [](int) {};
  struct sigaction before;
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  std::atomic<bool> is_over = false;
  const pthread_t waiter = pthread_self();
  std::thread sender([&] {
    while (!is_over) {
      pthread_kill(waiter, SIGUSR1);
      std::this_thread::yield();
    }
  });
  constexpr uint64_t kTimeNs = 20 * kNsPerMs;
  const uint64_t began_ns = MonotonicNs();
  EXPECT_TRUE(IsTime(poller_.Wait(kTimeNs)));
  EXPECT_GE(MonotonicNs() - began_ns, kTimeNs);
  is_over = true;
  sender.join();
  sigaction(SIGUSR1, &before, nullptr);
}

TEST_P(PollerTest, NeverOpenedItServesCallsAndTime) {
  EXPECT_TRUE(Works(poller_));
  EXPECT_EQ(poller_.source_count(), 0u);
}

TEST_P(PollerTest, OpenForgetsCalls) {
  poller_.Wake();
  poller_.Press();
  ASSERT_EQ(poller_.Open(), 0);
  EXPECT_TRUE(IsTime(poller_.Wait(0)));
  EXPECT_TRUE(Works(poller_));
}

TEST_P(PollerTest, ErrnoIsKept) {
  errno = E2BIG;
  ASSERT_EQ(poller_.Open(), 0);
  poller_.Wake();
  EXPECT_TRUE(IsWake(poller_.Wait(kForever)));
  EXPECT_TRUE(IsTime(poller_.Wait(kShortNs)));
  poller_.Close();
  EXPECT_EQ(errno, E2BIG);
}

// ---- Descriptors ----------------------------------------------------------------------------------------------------

TEST_P(PollerTest, DescriptorsAreCloseOnExecHighAndFew) {
  const std::set<int> before = OpenDescriptors();
  ASSERT_EQ(poller_.Open(), 0);
  const std::vector<int> opened = OpenedSince(before);
  EXPECT_EQ(opened.size(), 3 + poller_.source_count());
  for (const int number : opened) {
    EXPECT_NE(fcntl(number, F_GETFD) & FD_CLOEXEC, 0) << number;
    EXPECT_GE(number, kHighNumber);
  }
  poller_.Close();
  EXPECT_TRUE(OpenedSince(before).empty());
  ASSERT_EQ(poller_.Open(), 0);
  ASSERT_EQ(poller_.Open(), 0);
  EXPECT_EQ(OpenedSince(before).size(), 3 + poller_.source_count());
}

// Before it is moved to a high number too, for where there is none.
TEST_P(PollerTest, TheQueueIsCloseOnExecFromTheBeginning) {
  const int queue = calls().create();
  ASSERT_GE(queue, 0);
  EXPECT_NE(fcntl(queue, F_GETFD) & FD_CLOEXEC, 0);
  close(queue);
}

// Two sockets and the queue are needed; sources that find no descriptor are done without.
TEST_P(PollerTest, WithoutFreeDescriptorsItSaysSoAndServesCallsAndTime) {
  const ChildResult result = RunInChild([&] {
    constexpr int kLimit = 64;
    constexpr int kNeeded = 3;
    const rlimit low{kLimit, kLimit};
    if (setrlimit(RLIMIT_NOFILE, &low) != 0) return 1;
    while (dup(STDERR_FILENO) >= 0) {
    }
    Poller poller(calls());
    for (int free = 0; free < kNeeded; ++free) {
      if (poller.Open() != EMFILE || poller.error() != EMFILE) return 2;
      if (CountOpen(kLimit) != kLimit - free) return 3;
      if (poller.source_count() != 0 || !Works(poller)) return 4;
      close(kLimit - 1 - free);
    }
    if (poller.Open() != 0 || poller.error() != 0) return 5;
    if (poller.source_count() != 0 || !Works(poller)) return 6;
    poller.Close();
    return CountOpen(kLimit) == kLimit - kNeeded ? 0 : 7;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST_P(PollerTest, ClosedByTheProgramItServesCallsAndTime) {
  const ChildResult result = RunInChild([&] {
    for (size_t which = 0;; ++which) {
      const std::set<int> before = OpenDescriptors();
      Poller poller(calls());
      if (poller.Open() != 0) return 1;
      const std::vector<int> opened = OpenedSince(before);
      if (which == opened.size()) return 0;
      close(opened[which]);
      if (!Works(poller)) return 2;
      poller.Close();
      if (!OpenedSince(before).empty()) return 3;
      if (poller.Open() != 0 || !Works(poller) || poller.error() != 0) return 4;
    }
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

// As by a program that makes itself a daemon, and then opens its own files.
TEST_P(PollerTest, WhatTookItsDescriptorsPlacesIsLeftAlone) {
  const ChildResult result = RunInChild([&] {
    const std::set<int> before = OpenDescriptors();
    Poller poller(calls());
    if (poller.Open() != 0) return 1;
    const std::vector<int> opened = OpenedSince(before);
    int others[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, others) != 0) return 2;
    for (const int number : opened) {
      if (dup2(others[0], number) != number) return 3;
    }
    if (!Works(poller)) return 4;
    if (poller.error() != EBADF) return 5;
    poller.Close();
    char byte;
    if (read(others[1], &byte, 1) != -1 || errno != EAGAIN) return 6;  // Nothing was written there.
    for (const int number : opened) {
      if (!IsOpen(number)) return 7;
    }
    return 0;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST_P(PollerTest, InASandboxWithoutSocketsItSaysSo) {
  const ChildResult result = RunInChild([&] {
    if (!Refuse(SYS_socketpair, EPERM)) return 1;
    Poller poller(calls());
    if (poller.Open() != EPERM || poller.error() != EPERM) return 2;
    return Works(poller) ? 0 : 3;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

// Of epoll alone: with its first form the descriptor is made close-on-exec afterwards.
TEST(PollerOnEpoll, WithoutTheNewerCallTheOlderOneServes) {
  const ChildResult result = RunInChild([] {
    if (!Refuse(SYS_epoll_create1, ENOSYS)) return 1;
    const std::set<int> before = OpenDescriptors();
    Poller poller;
    if (poller.Open() != 0 || poller.error() != 0) return 2;
    for (const int number : OpenedSince(before)) {
      if ((fcntl(number, F_GETFD) & FD_CLOEXEC) == 0) return 3;
    }
    const int queue = SystemPollCalls().create();
    if (queue < 0 || (fcntl(queue, F_GETFD) & FD_CLOEXEC) == 0) return 4;
    return Works(poller) && poller.error() == 0 ? 0 : 5;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

TEST(PollerOnEpoll, WithoutEitherCallItSaysSo) {
  const ChildResult result = RunInChild([] {
    if (!Refuse(SYS_epoll_create1, ENOSYS) || !Refuse(SYS_epoll_create, ENOSYS)) return 1;
    const std::set<int> before = OpenDescriptors();
    Poller poller;
    if (poller.Open() != ENOSYS || !OpenedSince(before).empty()) return 2;
    return Works(poller) ? 0 : 3;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
}

// ---- Forked children ------------------------------------------------------------------------------------------------

TEST_P(PollerTest, AChildNeitherHearsNorCallsItsParent) {
  ASSERT_EQ(poller_.Open(), 0);
  const ChildResult result = RunInChild([&] {
    if (poller_.source_count() != 0 && !IsTime(poller_.Wait(kShortNs))) return 1;
    if (!Works(poller_)) return 2;
    poller_.Wake();
    return 0;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_TRUE(IsTime(poller_.Wait(kShortNs)));
  EXPECT_EQ(poller_.error(), 0);
  EXPECT_TRUE(Works(poller_));
}

// The bell itself must be silent: a call's bit alone could not be the child's.
TEST_P(PollerTest, AChildDoesNotRingItsParentsBell) {
  const std::set<int> before = OpenDescriptors();
  ASSERT_EQ(poller_.Open(), 0);
  const std::vector<int> opened = OpenedSince(before);
  const ChildResult result = RunInChild([&] {
    poller_.Wake();
    poller_.Press();
    poller_.Close();
    return 0;
  });
  ASSERT_TRUE(result.exited_with(0)) << result.Describe();
  char byte;
  for (const int number : opened) EXPECT_LT(recv(number, &byte, 1, MSG_PEEK | MSG_DONTWAIT), 0);
  EXPECT_TRUE(Works(poller_));
}

TEST_P(PollerTest, AChildThatOpensItAnewHasItsOwn) {
  ASSERT_EQ(poller_.Open(), 0);
  const std::set<int> with_parents = OpenDescriptors();
  const ChildResult result = RunInChild([&] {
    if (poller_.Open() != 0) return 1;
    if (!Works(poller_) || poller_.error() != 0) return 2;
    poller_.Close();
    // A kqueue is not inherited, and so its number is not closed; the stand-in's is.
    const size_t left = calls().is_inherited ? 0 : 1;
    size_t open_copies = 0;
    for (const int number : with_parents) open_copies += number >= kHighNumber && IsOpen(number) ? 1 : 0;
    return open_copies == left ? 0 : 3;
  });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_TRUE(Works(poller_));
  EXPECT_EQ(poller_.error(), 0);
}

// ---- What the system tells of pressure ------------------------------------------------------------------------------

// Urgent data on a socket is told of as the kernel tells of pressure.
class UrgentSocket {
 public:
  UrgentSocket() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    is_open_ = bind(listener, reinterpret_cast<sockaddr*>(&address), bytes) == 0 && listen(listener, 1) == 0 &&
               getsockname(listener, reinterpret_cast<sockaddr*>(&address), &bytes) == 0;
    writer_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    is_open_ = is_open_ && connect(writer_, reinterpret_cast<sockaddr*>(&address), bytes) == 0;
    reader_ = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    close(listener);
  }
  ~UrgentSocket() {
    close(writer_);
    close(reader_);
  }

  bool is_open() const { return is_open_ && reader_ >= 0; }
  int reader() const { return reader_; }
  void Send() const { EXPECT_EQ(send(writer_, "!", 1, MSG_OOB), 1); }
  void Take() const {
    char byte;
    EXPECT_EQ(recv(reader_, &byte, 1, MSG_OOB), 1);
  }
  void End() const { shutdown(writer_, SHUT_RDWR), shutdown(reader_, SHUT_RDWR); }

 private:
  bool is_open_ = false;
  int writer_ = -1;
  int reader_ = -1;
};

const UrgentSocket* source_socket = nullptr;

// epoll's calls, with a socket as the only source.
PollCalls CallsWithSocket() {
  PollCalls calls = SystemPollCalls();
  calls.open_pressure = [](PressureSource* sources, uint32_t) -> uint32_t {
    return sources[0].descriptor.Take(dup(source_socket->reader())) == 0 ? 1 : 0;
  };
  return calls;
}

class PressedPollerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!socket_.is_open()) GTEST_SKIP() << "there is no network to connect with itself";
    source_socket = &socket_;
    ASSERT_EQ(poller_.Open(), 0);
    ASSERT_EQ(poller_.source_count(), 1u);
  }

  UrgentSocket socket_;
  const PollCalls calls_ = CallsWithSocket();
  Poller poller_{calls_};
};

TEST_F(PressedPollerTest, TheSystemsWordIsHeardBesideCallsAndTime) {
  EXPECT_TRUE(IsTime(poller_.Wait(kShortNs)));
  socket_.Send();
  EXPECT_TRUE(IsPressure(poller_.Wait(kLongNs)));
  EXPECT_TRUE(IsPressure(poller_.Wait(kLongNs))) << "as long as the system says so";
  socket_.Take();
  EXPECT_TRUE(IsTime(poller_.Wait(kShortNs)));
  EXPECT_TRUE(Works(poller_));
  EXPECT_EQ(poller_.error(), 0);
}

TEST_F(PressedPollerTest, AWaitingThreadHearsIt) {
  std::thread sender([&] { socket_.Send(); });
  EXPECT_TRUE(IsPressure(poller_.Wait(kLongNs)));
  sender.join();
}

TEST_F(PressedPollerTest, AChildDoesNotHearIt) {
  socket_.Send();
  const ChildResult result = RunInChild([&] { return IsTime(poller_.Wait(kShortNs)) ? 0 : 1; });
  EXPECT_TRUE(result.exited_with(0)) << result.Describe();
  EXPECT_TRUE(IsPressure(poller_.Wait(kLongNs)));
}

// As when the group of a trigger is removed: else the wait would never sleep again.
TEST_F(PressedPollerTest, ABrokenSourceIsDropped) {
  socket_.End();
  EXPECT_TRUE(IsTime(poller_.Wait(kShortNs)));
  const uint64_t cpu_ns = ThreadCpuNs();
  constexpr uint64_t kTimeNs = 50 * kNsPerMs;
  EXPECT_TRUE(IsTime(poller_.Wait(kTimeNs)));
  EXPECT_LT(ThreadCpuNs() - cpu_ns, kTimeNs / 2);
  EXPECT_TRUE(Works(poller_));
  EXPECT_EQ(poller_.error(), 0);
}

// The kernel's real trigger is among the sources where it may be set.
TEST(PollerOnEpoll, TheMachinesTriggerIsASource) {
  constexpr char kTrigger[] = "some 150000 2000000";
  const int file = open("/proc/pressure/memory", O_RDWR | O_CLOEXEC);
  const bool may_be_set = file >= 0 && write(file, kTrigger, sizeof kTrigger) > 0;
  if (file >= 0) close(file);
  Poller poller;
  ASSERT_EQ(poller.Open(), 0);
  if (!may_be_set) GTEST_SKIP() << "triggers cannot be set here";
  EXPECT_GE(poller.source_count(), 1u);
  EXPECT_TRUE(Works(poller));
}

}  // namespace
}  // namespace acre::os
