// The texts are those of real machines: a systemd host (v2), a hybrid one, containers with and without a namespace.

#include "os/linux/cgroup.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

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

TEST(Cgroup, AMountCoversThePathsBelowItsRoot) {
  const auto covers = [](const char* root, const char* path) {
    return CgroupDirectory::Covers({TextOf(root), TextOf("/cg")}, TextOf(path));
  };
  EXPECT_TRUE(covers("/", "/"));
  EXPECT_TRUE(covers("/", "/a/b"));
  EXPECT_TRUE(covers("/a", "/a"));
  EXPECT_TRUE(covers("/a", "/a/b"));
  EXPECT_FALSE(covers("/a", "/"));
  EXPECT_FALSE(covers("/a", "/ab"));
  EXPECT_FALSE(covers("/a/b", "/a"));
  EXPECT_FALSE(covers("/..", "/a"));
  EXPECT_FALSE(covers("/", "/../a"));
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

// ---- Whole machines, in a folder of their own -----------------------------------------------------------------------

class CgroupTreeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = std::filesystem::temp_directory_path() / "acre-cgroup-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  // "@" in a text stands for the folder.
  std::string InFolder(std::string text) const {
    for (size_t at; (at = text.find('@')) != std::string::npos;) text.replace(at, 1, root_);
    return text;
  }

  size_t Least() const { return LeastCgroupMemoryBytes(files()); }
  CgroupFiles files() const { return {.groups = groups_.c_str(), .mounts = mounts_.c_str()}; }

  void Describe(const std::string& groups, const std::string& mounts) {
    Write("/proc/cgroup", groups);
    Write("/proc/mountinfo", InFolder(mounts));
    groups_ = root_ + "/proc/cgroup";
    mounts_ = root_ + "/proc/mountinfo";
  }

  std::string root_;
  std::string groups_;
  std::string mounts_;
};

constexpr const char* kUnifiedMounts =
    "22 27 0:21 / /proc rw,nosuid shared:13 - proc proc rw\n"
    "30 23 0:26 / @/cg rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";

TEST_F(CgroupTreeTest, TheLeastOfMaxAndHighOfAllParentsCounts) {
  Describe("0::/user.slice/user-1000.slice/app.scope\n", kUnifiedMounts);
  EXPECT_EQ(Least(), kNoLimit) << "no memory controller";
  const std::string leaf = "/cg/user.slice/user-1000.slice/app.scope";
  Write(leaf + "/memory.max", "max\n");
  Write(leaf + "/memory.high", "max\n");
  EXPECT_EQ(Least(), kNoLimit);
  Write("/cg/user.slice/memory.max", "4000000\n");
  EXPECT_EQ(Least(), 4000000u);
  Write("/cg/user.slice/user-1000.slice/memory.high", "3000000\n");
  EXPECT_EQ(Least(), 3000000u);
  Write(leaf + "/memory.max", "2000000\n");
  EXPECT_EQ(Least(), 2000000u);
  Write(leaf + "/memory.high", "1000000\n");
  EXPECT_EQ(Least(), 1000000u);
  Write("/cg/user.slice/other.slice/memory.max", "5\n");
  EXPECT_EQ(Least(), 1000000u) << "a neighbour's";
}

TEST_F(CgroupTreeTest, OfVersionOneTheMemoryHierarchyCounts) {
  Describe(
      "12:cpuset:/docker/e8f2\n11:memory:/docker/e8f2\n4:cpu,cpuacct:/docker/e8f2\n1:name=systemd:/docker/e8f2\n0::/system.slice\n",
      "640 629 0:27 /docker/e8f2 @/cg/systemd ro,nosuid master:9 - cgroup cgroup rw,xattr,name=systemd\n"
      "641 629 0:38 /docker/e8f2 @/cg/memory ro,nosuid master:18 - cgroup cgroup rw,memory\n"
      "642 629 0:31 /docker/e8f2 @/cg/cpu,cpuacct ro,nosuid master:11 - cgroup cgroup rw,cpu,cpuacct\n");
  Write("/cg/cpu,cpuacct/memory.limit_in_bytes", "3\n");
  Write("/cg/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(Least(), kNoLimit);
  Write("/cg/memory/memory.limit_in_bytes", "536870912\n");
  EXPECT_EQ(Least(), 536870912u);
}

TEST_F(CgroupTreeTest, OfAHybridMachineBothHierarchiesCount) {
  Describe("5:memory:/user.slice\n1:name=systemd:/user.slice/a.scope\n0::/user.slice/a.scope\n",
           "30 25 0:26 / @/cg ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n"
           "31 30 0:27 / @/cg/unified rw,nosuid shared:10 - cgroup2 cgroup rw\n"
           "35 30 0:32 / @/cg/memory rw,nosuid shared:15 - cgroup cgroup rw,memory\n");
  Write("/cg/unified/user.slice/a.scope/cgroup.procs", "1\n");
  Write("/cg/memory/user.slice/memory.limit_in_bytes", "2000000\n");
  EXPECT_EQ(Least(), 2000000u);
  Write("/cg/unified/user.slice/memory.max", "1000000\n");
  EXPECT_EQ(Least(), 1000000u);
}

TEST_F(CgroupTreeTest, InANamespaceTheMountPointIsTheGroup) {
  Describe("0::/\n", "1002 1001 0:26 / @/cg ro,nosuid - cgroup2 cgroup rw,nsdelegate\n");
  Write("/cg/memory.max", "1000000\n");
  EXPECT_EQ(Least(), 1000000u);
  Describe("0::/../other\n", "1002 1001 0:26 /../.. @/cg ro,nosuid - cgroup2 cgroup rw,nsdelegate\n");
  EXPECT_EQ(Least(), 1000000u) << "of a process that was moved into another's";
}

// A container with a part of the host's hierarchy at a place of its own, before the mount of its own group.
TEST_F(CgroupTreeTest, TheMountThatCoversTheGroupGoesFirst) {
  Describe("0::/kubepods/pod1/main\n",
           "50 40 0:26 /system.slice @/host rw - cgroup2 cgroup rw\n"
           "51 40 0:26 /kubepods/pod1 @/cg rw - cgroup2 cgroup rw\n"
           "52 40 0:26 / @/late rw - cgroup2 cgroup rw\n");
  Write("/host/memory.max", "1\n");
  Write("/late/memory.max", "2\n");
  Write("/cg/memory.max", "2000000\n");
  Write("/cg/main/memory.max", "1000000\n");
  EXPECT_EQ(Least(), 1000000u);
}

TEST_F(CgroupTreeTest, WithoutItsFilesThereIsNoLimit) {
  Describe("", "");
  EXPECT_EQ(Least(), kNoLimit);
  Describe("0::/a\n", "");
  EXPECT_EQ(Least(), kNoLimit);
  Describe("", kUnifiedMounts);
  EXPECT_EQ(Least(), kNoLimit);
  Describe("\n::\n0:\n0::a\n\xff\xfe\n", "\n-\n - cgroup2\n1 2 3 / - cgroup2 cgroup2 rw\n\xff\n");
  EXPECT_EQ(Least(), kNoLimit);
  groups_ = root_ + "/nothing";
  EXPECT_EQ(Least(), kNoLimit);
}

TEST_F(CgroupTreeTest, AnUnreadableLimitIsNone) {
  Describe("0::/a\n", kUnifiedMounts);
  for (const char* text : {"", "\n", "-1\n", "12k\n", "99999999999999999999999\n"}) {
    Write("/cg/a/memory.max", text);
    EXPECT_EQ(Least(), kNoLimit) << text;
  }
  std::filesystem::create_directories(root_ + "/cg/a/memory.high");  // Can be opened, and not read.
  EXPECT_EQ(Least(), kNoLimit);
}

TEST_F(CgroupTreeTest, ItsOwnGroupIsVisitedFirst) {
  Describe("0::/a/b\n", kUnifiedMounts);
  std::vector<std::string> visited;
  ForEachCgroup(files(), kCgroupV2, &visited, [](void* context, CgroupDirectory* directory) {
    static_cast<std::vector<std::string>*>(context)->push_back(directory->File("f"));
  });
  EXPECT_EQ(visited, (std::vector<std::string>{root_ + "/cg/a/b/f", root_ + "/cg/a/f", root_ + "/cg/f"}));
}

}  // namespace
}  // namespace acre::os
