// The texts are those of real machines: a systemd host (v2), a hybrid one, containers with and without a namespace.

#include "os/linux/cgroup.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace acre::os {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
constexpr uint32_t kNoQuota = std::numeric_limits<uint32_t>::max();

std::string StringOf(Text text) { return {text.data(), text.size()}; }

struct PathCase {
  const char* line;
  const char* controller;
  const char* path;  // Null: the line is about something else.
};

TEST(Cgroup, PathIsTakenFromTheControllersLine) {
  const PathCase cases[] = {
      {"0::/user.slice/session-1.scope", kCgroupV2, "/user.slice/session-1.scope"},
      {"0::/", kCgroupV2, "/"},
      {"4:memory:/docker/abc", "memory", "/docker/abc"},
      {"3:cpu,cpuacct:/a", "cpu", "/a"},
      {"3:cpuacct,cpu:/a:b", "cpu", "/a:b"},
      {"4:memory:/docker/abc", kCgroupV2, nullptr},
      {"0::/x", "memory", nullptr},
      {"2:cpuset:/x", "cpu", nullptr},
      {"1:name=systemd:/x", "systemd", nullptr},
      {"", kCgroupV2, nullptr},
      {"0::", kCgroupV2, nullptr},
      {"garbage", "memory", nullptr},
  };
  for (const PathCase& test : cases) {
    Text path;
    const bool is_found = ParseCgroupLine(TextOf(test.line), test.controller, &path);
    ASSERT_EQ(is_found, test.path != nullptr) << test.line;
    if (is_found) {
      EXPECT_EQ(StringOf(path), test.path) << test.line;
    }
  }
}

struct MountCase {
  const char* line;
  const char* controller;
  const char* root;  // Null: another mount.
  const char* mount_point;
};

TEST(Cgroup, MountIsTakenFromItsLine) {
  const MountCase cases[] = {
      {"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate", kCgroupV2, "/", "/sys/fs/cgroup"},
      {"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw", kCgroupV2, "/", "/sys/fs/cgroup/unified"},
      {"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory", "memory", "/", "/sys/fs/cgroup/memory"},
      {"35 31 0:32 /docker/a /cg rw master:1 shared:2 - cgroup cgroup rw,cpu,cpuacct", "cpu", "/docker/a", "/cg"},
      {"34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset", "cpu", nullptr, nullptr},
      {"41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,memory_recursiveprot", "memory", nullptr, nullptr},
      {"22 27 0:21 / /proc rw - proc proc rw", kCgroupV2, nullptr, nullptr},
      {"22 27 0:21 / /x rw - tmpfs cgroup2 rw,memory", "memory", nullptr, nullptr},
      {"short line", kCgroupV2, nullptr, nullptr},
      {"", kCgroupV2, nullptr, nullptr},
  };
  for (const MountCase& test : cases) {
    CgroupMount mount;
    const bool is_found = ParseMountLine(TextOf(test.line), test.controller, &mount);
    ASSERT_EQ(is_found, test.root != nullptr) << test.line;
    if (!is_found) continue;
    EXPECT_EQ(StringOf(mount.root), test.root) << test.line;
    EXPECT_EQ(StringOf(mount.mount_point), test.mount_point) << test.line;
  }
}

struct DirectoryCase {
  const char* root;
  const char* mount_point;
  const char* path;
  const char* files;  // From the group's own to the highest, separated by spaces.
};

TEST(Cgroup, DirectoryClimbsToTheMountPoint) {
  const DirectoryCase cases[] = {
      {"/", "/cg", "/a/b", "/cg/a/b/f /cg/a/f /cg/f"},
      {"/", "/cg", "/", "/cg/f"},
      {"/docker/x", "/cg", "/docker/x", "/cg/f"},
      {"/docker/x", "/cg", "/docker/x/y", "/cg/y/f /cg/f"},
      {"/docker/x", "/cg", "/docker/xy", "/cg/f"},  // A neighbour with a longer name is not below.
      {"/docker/x", "/cg", "/other", "/cg/f"},
      {"/", "/cg", "/../../a", "/cg/f"},
      {"/..", "/cg", "/a", "/cg/f"},
      {"/", "/with\\040space", "/a", "/with space/a/f /with space/f"},
  };
  for (const DirectoryCase& test : cases) {
    CgroupDirectory directory;
    ASSERT_TRUE(directory.Set({TextOf(test.root), TextOf(test.mount_point)}, TextOf(test.path)));
    std::string files = directory.File("f");
    while (directory.Climb()) files += std::string(" ") + directory.File("f");
    EXPECT_EQ(files, test.files) << test.root << " " << test.path;
  }
}

TEST(Cgroup, DirectoryThatDoesNotFitIsRefused) {
  const std::string longest(1022, 'x');
  CgroupDirectory directory;
  ASSERT_TRUE(directory.Set({TextOf("/"), TextOf("/")}, TextOf(longest.c_str())));
  EXPECT_EQ(directory.File("f"), nullptr);
  EXPECT_FALSE(directory.Set({TextOf("/"), TextOf("/mount")}, TextOf(longest.c_str())));
}

TEST(Cgroup, MemoryLimitIsANumberOrNone) {
  EXPECT_EQ(ParseMemoryLimit(TextOf("max")), kNoLimit);
  EXPECT_EQ(ParseMemoryLimit(TextOf("9223372036854771712")), kNoLimit);
  EXPECT_EQ(ParseMemoryLimit(TextOf("99999999999999999999")), kNoLimit);
  EXPECT_EQ(ParseMemoryLimit(TextOf("536870912")), size_t{536870912});
  EXPECT_EQ(ParseMemoryLimit(TextOf("0")), 0u);
  EXPECT_EQ(ParseMemoryLimit(TextOf("")), kNoLimit);
}

TEST(Cgroup, CpuQuotaIsRoundedUp) {
  EXPECT_EQ(ParseCpuMax(TextOf("max 100000")), kNoQuota);
  EXPECT_EQ(ParseCpuMax(TextOf("100000 100000")), 1u);
  EXPECT_EQ(ParseCpuMax(TextOf("150000 100000")), 2u);
  EXPECT_EQ(ParseCpuMax(TextOf("1000 100000")), 1u);
  EXPECT_EQ(ParseCpuMax(TextOf("0 100000")), 1u);
  EXPECT_EQ(ParseCpuMax(TextOf("800000 100000")), 8u);
  EXPECT_EQ(ParseCpuMax(TextOf("100000 0")), kNoQuota);
  EXPECT_EQ(ParseCpuMax(TextOf("100000")), kNoQuota);
  EXPECT_EQ(CpusOfQuota(~uint64_t{0}, 1), kNoQuota);
}

}  // namespace
}  // namespace acre::os
