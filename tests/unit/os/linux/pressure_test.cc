#include "os/linux/pressure.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "tests/support/descriptors.h"

namespace acre::os {
namespace {

using testing::OpenDescriptors;
using testing::OpenedSince;

using Told = PollCalls::Told;

constexpr uint32_t kMost = 3;

TEST(Pressure, EventsOfLimitsAreCounted) {
  struct Case {
    const char* text;
    uint64_t count;
  };
  const Case cases[] = {
      {"low 7\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n", 0},
      {"low 0\nhigh 3\nmax 20\noom 100\noom_kill 1000\n", 123},
      {"max 5", 5},
      {"highest 5\nmaximum 6\n", 0},
      {"high\nmax \noom x\n", 0},
      {"high 18446744073709551616\nmax 1\n", 1},
      {"\n\n\xff\n", 0},
      {"", 0},
  };
  for (const Case& test : cases) EXPECT_EQ(CountPressureEvents(TextOf(test.text)), test.count) << test.text;
}

class PressureTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "acre-pressure-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    machine_ = root_ + "/proc/pressure";
    groups_ = root_ + "/proc/cgroup";
    mounts_ = root_ + "/proc/mountinfo";
    Write("/proc/cgroup", "0::/a/b\n");
    Write("/proc/mountinfo", "30 23 0:26 / " + root_ + "/cg rw - cgroup2 cgroup2 rw\n");
  }
  void TearDown() override {
    for (PressureSource& source : sources_) source.descriptor.Close();
    std::filesystem::remove_all(root_);
  }

  void Write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::string Read(const std::string& path) const {
    std::ifstream file(root_ + path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  uint32_t Open(uint32_t most = kMost) {
    const PressureFiles files{.machine = machine_.c_str(), .groups = {.groups = groups_.c_str(), .mounts = mounts_.c_str()}};
    return OpenPressureSources(files, sources_, most);
  }

  const std::string trigger_{"some 150000 2000000\0", 20};
  std::string root_;
  std::string machine_;
  std::string groups_;
  std::string mounts_;
  PressureSource sources_[kMost];
};

TEST_F(PressureTest, WithoutFilesThereIsNoSource) {
  const std::set<int> before = OpenDescriptors();
  EXPECT_EQ(Open(), 0u);
  EXPECT_TRUE(OpenedSince(before).empty());
}

TEST_F(PressureTest, TriggersAreSetForTheMachineAndTheGroup) {
  Write("/proc/pressure", "");
  Write("/cg/a/b/memory.pressure", "");
  Write("/cg/a/memory.pressure", "");
  ASSERT_EQ(Open(), 2u);
  EXPECT_EQ(Read("/proc/pressure"), trigger_);
  EXPECT_EQ(Read("/cg/a/b/memory.pressure"), trigger_);
  EXPECT_EQ(Read("/cg/a/memory.pressure"), "") << "a parent's";
  for (uint32_t i = 0; i < 2; ++i) {
    EXPECT_NE(fcntl(sources_[i].descriptor.number(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(fcntl(sources_[i].descriptor.number(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_EQ(ReadPressureSource(&sources_[i], false), Told::kPressure);
    EXPECT_EQ(ReadPressureSource(&sources_[i], true), Told::kGone);
  }
}

TEST_F(PressureTest, ATriggerThatIsRefusedIsNoSource) {
  machine_ = "/proc/self/maps";  // Cannot be opened for writing, or be written.
  const std::set<int> before = OpenDescriptors();
  EXPECT_EQ(Open(), 0u);
  machine_ = "/dev/full";
  EXPECT_EQ(Open(), 0u);
  EXPECT_TRUE(OpenedSince(before).empty());
}

TEST_F(PressureTest, EventsAreThoseOfTheLowestGroupWithALimit) {
  Write("/cg/a/b/memory.max", "max\n");
  Write("/cg/a/b/memory.events", "max 1\n");
  Write("/cg/a/memory.events", "max 2\n");
  Write("/cg/memory.events", "max 3\n");
  EXPECT_EQ(Open(), 0u);
  Write("/cg/memory.max", "1000000\n");
  ASSERT_EQ(Open(), 1u);
  EXPECT_EQ(sources_[0].events, 3u);
  sources_[0].descriptor.Close();
  Write("/cg/a/memory.high", "1000000\n");
  ASSERT_EQ(Open(), 1u);
  EXPECT_EQ(sources_[0].events, 2u);
}

TEST_F(PressureTest, OnlyMoreEventsArePressure) {
  Write("/cg/a/b/memory.max", "1000000\n");
  Write("/cg/a/b/memory.events", "low 0\nhigh 1\nmax 1\n");
  ASSERT_EQ(Open(), 1u);
  constexpr bool kAlways = true;  // The kernel says POLLERR with each event.
  EXPECT_EQ(ReadPressureSource(&sources_[0], kAlways), Told::kNothing);
  Write("/cg/a/b/memory.events", "low 5\nhigh 1\nmax 1\n");
  EXPECT_EQ(ReadPressureSource(&sources_[0], kAlways), Told::kNothing);
  Write("/cg/a/b/memory.events", "low 5\nhigh 2\nmax 1\n");
  EXPECT_EQ(ReadPressureSource(&sources_[0], kAlways), Told::kPressure);
  EXPECT_EQ(ReadPressureSource(&sources_[0], kAlways), Told::kNothing);
  Write("/cg/a/b/memory.events", "low 0\nhigh 0\nmax 0\n");
  EXPECT_EQ(ReadPressureSource(&sources_[0], kAlways), Told::kNothing);
  Write("/cg/a/b/memory.events", "low 0\nhigh 1\nmax 0\n");
  EXPECT_EQ(ReadPressureSource(&sources_[0], kAlways), Told::kPressure);
  close(sources_[0].descriptor.number());
  EXPECT_EQ(ReadPressureSource(&sources_[0], kAlways), Told::kGone);
}

TEST_F(PressureTest, NoMoreAreOpenedThanThereIsRoomFor) {
  Write("/proc/pressure", "");
  Write("/cg/a/b/memory.pressure", "");
  Write("/cg/a/b/memory.max", "1000000\n");
  Write("/cg/a/b/memory.events", "max 1\n");
  for (uint32_t most = 0; most <= kMost; ++most) {
    const std::set<int> before = OpenDescriptors();
    EXPECT_EQ(Open(most), most);
    EXPECT_EQ(OpenedSince(before).size(), most);
    for (uint32_t i = 0; i < most; ++i) sources_[i].descriptor.Close();
  }
}

TEST_F(PressureTest, TheKernelTakesTheTrigger) {
  machine_ = "/proc/pressure/memory";
  const int file = open(machine_.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) GTEST_SKIP() << "this kernel has no file for it that may be written";
  const bool is_taken = write(file, trigger_.data(), trigger_.size()) > 0;
  close(file);
  if (!is_taken) GTEST_SKIP() << "this kernel refuses triggers";
  EXPECT_EQ(Open(), 1u);
}

}  // namespace
}  // namespace acre::os
