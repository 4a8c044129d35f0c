// The strings are of the forms that distributions give their kernels; no system call is made but in the last test.

#include "os/linux/kernel_release.h"

#include <gtest/gtest.h>
#include <sys/utsname.h>

#include <string>

namespace acre::os {
namespace {

std::string NameOf(const KernelRelease& release) {
  return std::to_string(release.major) + "." + std::to_string(release.minor) + "." + std::to_string(release.patch);
}

struct Case {
  const char* text;
  const char* expected;
};

TEST(KernelRelease, IsReadFromUnamesRelease) {
  const Case cases[] = {
      {"5.3.0-3-amd64", "5.3.0"},  // Debian
      {"6.1.0-21-amd64", "6.1.0"},
      {"6.1.0-0.deb11.13-cloud-amd64", "6.1.0"},
      {"4.19.0-26-686-pae", "4.19.0"},
      {"5.3.0-24-generic", "5.3.0"},  // Ubuntu
      {"5.4.0-1103-aws", "5.4.0"},
      {"5.15.0-1051-azure", "5.15.0"},
      {"5.3.0-1008-gcp", "5.3.0"},
      {"5.3.11-300.fc31.x86_64", "5.3.11"},  // Fedora
      {"5.2.18-200.fc30.x86_64", "5.2.18"},
      {"6.8.5-301.fc40.x86_64", "6.8.5"},
      {"6.0.0-0.rc3.20220831gitdcf8e5633e2e.30.fc38.x86_64", "6.0.0"},
      {"4.18.0-513.5.1.el8_9.x86_64", "4.18.0"},  // Red Hat and its kin
      {"3.10.0-1160.el7.x86_64", "3.10.0"},
      {"5.4.1-arch1-1", "5.4.1"},  // Arch
      {"5.3.13-arch1-1", "5.3.13"},
      {"6.9.1-zen1-1-zen", "6.9.1"},
      {"6.6.30-1-lts", "6.6.30"},
      {"5.10.217-205.860.amzn2.x86_64", "5.10.217"},  // Amazon
      {"6.1.90-99.173.amzn2023.x86_64", "6.1.90"},
      {"5.3.18-150300.59.93-default", "5.3.18"},           // openSUSE
      {"5.15.153.1-microsoft-standard-WSL2", "5.15.153"},  // WSL
      {"4.4.0-19041-Microsoft", "4.4.0"},
      {"5.4.72-microsoft-standard-WSL2", "5.4.72"},
      {"5.4.1-1-MANJARO", "5.4.1"},
      {"5.4.0-gentoo", "5.4.0"},
      {"5.10.76-linuxkit", "5.10.76"},
      {"6.6.7-tinycore64", "6.6.7"},
      {"5.4.274+", "5.4.274"},
      {"4.14.186+", "4.14.186"},  // ChromeOS
      {"5.4.1", "5.4.1"},         // Vanilla
      {"5.3.0", "5.3.0"},
      {"5.2", "5.2.0"},
      {"5.2-rc1", "5.2.0"},
      {"5.4.0-rc8", "5.4.0"},
      {"5.5.0-rc1+", "5.5.0"},
      {"2.6.32-754.el6.x86_64", "2.6.32"},
      {"10.11.12", "10.11.12"},
      {"4294967295.1.2", "4294967295.1.2"},
  };
  for (const Case& test : cases) EXPECT_EQ(NameOf(ParseKernelRelease(TextOf(test.text))), test.expected) << test.text;
}

TEST(KernelRelease, GarbageIsNotUnderstood) {
  const char* const cases[] = {
      "",
      " ",
      "5",
      "5.",
      ".5",
      "5..3",
      "v5.3.1",
      "-5.3.1",
      "+5.3",
      " 5.3.1",
      "5,3,1",
      "5.x",
      "5.3.",
      "5.3.x",
      "five.three",
      "Linux 5.3.1",
      "4294967296.1.1",
      "5.99999999999999999999.1",
      "5.3.18446744073709551616",
      "\xff\xfe",
      "5-3-1",
  };
  for (const char* text : cases) EXPECT_EQ(ParseKernelRelease(TextOf(text)), KernelRelease{}) << '"' << text << '"';
}

TEST(KernelRelease, NothingBehindTheTextIsRead) {
  const std::string text = "5.31.42";
  EXPECT_EQ(NameOf(ParseKernelRelease(Text(text.data(), 3))), "5.3.0");
  EXPECT_EQ(NameOf(ParseKernelRelease(Text(text.data(), 6))), "5.31.4");
}

TEST(KernelRelease, IsTheLastWordOfUbuntusSignature) {
  const Case cases[] = {
      {"Ubuntu 5.3.0-24.26-generic 5.3.10", "5.3.10"},
      {"Ubuntu 5.4.0-12.15-generic 5.4.8", "5.4.8"},
      {"Ubuntu 5.15.0-1051.59-azure 5.15.131", "5.15.131"},
      {"Ubuntu 5.3.0-1008.9-gcp 5.3.7 ", "5.3.7"},
      {"Ubuntu 6.8.0-31.31-generic 6.8.1", "6.8.1"},
      {"Ubuntu 5.4.0-12.15-generic", "5.4.0"},
      {"Ubuntu", "0.0.0"},
      {"", "0.0.0"},
      {"   ", "0.0.0"},
  };
  for (const Case& test : cases)
    EXPECT_EQ(NameOf(ParseVersionSignature(TextOf(test.text))), test.expected) << test.text;
}

TEST(KernelRelease, FollowsDebiansNameInUnamesVersion) {
  const Case cases[] = {
      {"#1 SMP Debian 5.4.19-1 (2020-02-13)", "5.4.19"},
      {"#1 SMP Debian 5.3.9-2 (2019-11-12)", "5.3.9"},
      {"#1 SMP PREEMPT_DYNAMIC Debian 6.1.90-1 (2024-05-03)", "6.1.90"},
      {"#1 SMP Debian 5.2.17-1+b1 (2019-09-26)", "5.2.17"},
      {"#24-Ubuntu SMP Thu Nov 14 17:00:00 UTC 2019", "0.0.0"},
      {"#1 SMP PREEMPT @0", "0.0.0"},
      {"#1 SMP Debian", "0.0.0"},
      {"#1 SMP Debian ", "0.0.0"},
      {"", "0.0.0"},
  };
  for (const Case& test : cases) EXPECT_EQ(NameOf(ParseDebianVersion(TextOf(test.text))), test.expected) << test.text;
}

TEST(RunningKernel, UpstreamsVersionCountsBeforeTheDistributionsName) {
  struct {
    const char* release;
    const char* version;
    const char* signature;
    const char* expected;
  } const cases[] = {
      {"5.4.0-12-generic", "#15-Ubuntu SMP Tue Jan 21 15:12:29 UTC 2020", "Ubuntu 5.4.0-12.15-generic 5.4.8", "5.4.8"},
      {"5.4.0-12-generic", "#15-Ubuntu SMP Tue Jan 21 15:12:29 UTC 2020", "", "5.4.0"},
      {"5.4.0-12-generic", "#15-Ubuntu SMP", "Ubuntu garbage", "5.4.0"},
      {"5.4.0-4-amd64", "#1 SMP Debian 5.4.19-1 (2020-02-13)", "", "5.4.19"},
      {"5.3.11-300.fc31.x86_64", "#1 SMP Tue Nov 12 19:08:07 UTC 2019", "", "5.3.11"},
      {"", "", "", "0.0.0"},
  };
  for (const auto& test : cases) {
    const RunningKernel kernel =
        KernelOf(TextOf(test.release), TextOf(test.version), TextOf("x86_64"), TextOf(test.signature));
    EXPECT_EQ(NameOf(kernel.release), test.expected) << test.release;
  }
}

TEST(RunningKernel, MachineTellsX86) {
  struct {
    const char* machine;
    bool is_x86;
  } const cases[] = {
      {"x86_64", true},   {"i386", true}, {"i486", true},     {"i586", true},   {"i686", true},
      {"aarch64", false}, {"arm", false}, {"ppc64le", false}, {"s390x", false}, {"riscv64", false},
      {"", false},        {"i86", false}, {"i6866", false},   {"x686", false},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(KernelOf(TextOf("5.3.1"), {}, TextOf(test.machine), {}).is_x86, test.is_x86) << test.machine;
  }
}

TEST(RunningKernel, OfThisMachineIsUnderstood) {
  utsname names;
  ASSERT_EQ(uname(&names), 0);
  const RunningKernel kernel = ReadRunningKernel();
  EXPECT_GE(kernel.release.major, 3u) << names.release;
#if defined(__x86_64__)
  EXPECT_TRUE(kernel.is_x86) << names.machine;
#endif
}

}  // namespace
}  // namespace acre::os
