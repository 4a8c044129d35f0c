#include "arch/cpu.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "arch/memory_bodies.h"

namespace acre::arch {
namespace {

// The kernel's own list, which is a second opinion: it also leaves out what the operating system does not support.
bool KernelLists(const std::string& flag) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("flags")) continue;
    std::istringstream words(line);
    for (std::string word; words >> word;) {
      if (word == flag) return true;
    }
    return false;
  }
  return false;
}

TEST(Cpu, FeaturesAgreeWithTheKernelsList) {
  if (!KernelLists("fpu")) GTEST_SKIP() << "the kernel lists no flags of this CPU";
  const CpuFeatures cpu = DetectCpuFeatures();
  EXPECT_EQ(cpu.has_avx2, KernelLists("avx2"));
  EXPECT_EQ(cpu.has_avx512, KernelLists("avx512f") && KernelLists("avx512vl") && KernelLists("avx512bw") &&
                                KernelLists("avx512dq") && KernelLists("bmi2"));
  EXPECT_EQ(cpu.has_vbmi2, KernelLists("avx512_vbmi2"));
  EXPECT_EQ(cpu.has_erms, KernelLists("erms"));
  EXPECT_EQ(cpu.has_fsrm, KernelLists("fsrm"));
}

TEST(Cpu, Vbmi2ImpliesAvx512) {
  const CpuFeatures cpu = DetectCpuFeatures();
  EXPECT_TRUE(!cpu.has_vbmi2 || cpu.has_avx512);
}

TEST(Cpu, RedZoneIsWholeWords) { EXPECT_EQ(kRedZoneBytes % sizeof(void*), 0u); }

TEST(Cpu, RelaxReturns) { CpuRelax(); }

TEST(MemoryBodies, FirstIsPortableAndRunsOnACpuWithoutFeatures) {
  const CpuFeatures none;
  EXPECT_STREQ(MemoryBodies().front().name, "portable");
  EXPECT_TRUE(MemoryBodies().front().is_supported(none));
  EXPECT_STREQ(ChooseMemoryBody(none).name, "portable");
}

TEST(MemoryBodies, ChosenOneIsSupported) {
  const CpuFeatures cpu = DetectCpuFeatures();
  const MemoryBody& body = ChooseMemoryBody(cpu);
  std::printf("chosen body: %s\n", body.name);
  EXPECT_TRUE(body.is_supported(cpu));
}

TEST(MemoryBodies, WideBodyIsNotChosenWithoutItsFeature) {
  CpuFeatures cpu;
  cpu.has_erms = true;
  cpu.has_fsrm = true;
  EXPECT_STREQ(ChooseMemoryBody(cpu).name, "portable");
  cpu.has_avx2 = true;
  EXPECT_STRNE(ChooseMemoryBody(cpu).name, "avx512");
}

}  // namespace
}  // namespace acre::arch
