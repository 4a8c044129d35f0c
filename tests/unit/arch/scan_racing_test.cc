// Scan kernels while another thread writes what they read: a word that is seen once as a pointer and once as something else
// must not come out as something else.

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "arch/scan.h"
#include "tests/support/sanitizers.h"
#include "tests/unit/arch/scan_support.h"

namespace acre::arch {

namespace {

constexpr uint64_t kLow = uint64_t{0xc0} << 32;
constexpr uint64_t kPointer = kLow + 64;
constexpr ScanFilter kFilter = {.low = kLow, .bytes = uint64_t{1} << 30};
constexpr size_t kObjects = 4;

class ScanRacingTest : public ::testing::TestWithParam<ScanBody> {
 protected:
  void SetUp() override {
    if (!GetParam().is_supported(DetectCpuFeatures())) GTEST_SKIP() << "not on this CPU: " << GetParam().name;
    if (acre::testing::kHasThreadSanitizer) GTEST_SKIP() << "the words are read plainly";
  }

  // Adds up what came out and is no pointer.
  void Look(const uint64_t* limit) {
    for (const uint64_t* word = out_.data(); word != limit; ++word) wrong_ += *word == kPointer ? 0 : 1;
  }

  std::vector<uint64_t> words_ = std::vector<uint64_t>(kObjects * kMaxScanWords, kPointer);
  std::vector<uint64_t> out_ = std::vector<uint64_t>(2 * kObjects * kMaxScanWords + kScanSlackWords);
  size_t wrong_ = 0;
};

TEST_P(ScanRacingTest, WordsComeOutAsPointersOrNotAtAll) {
  constexpr int kRounds = 100'000;
  std::atomic<bool> is_over = false;
  std::thread writer([&] {
    for (uint64_t word = 0; !is_over; word = kPointer - word) {
      for (uint64_t& place : words_) __atomic_store_n(&place, word, __ATOMIC_RELAXED);
    }
  });
  constexpr uint64_t kAll = ~uint64_t{0};
  for (const size_t length : {size_t{2}, size_t{4}, size_t{8}, size_t{10}, kMaxScanWords}) {
    const uint8_t lengths[256] = {static_cast<uint8_t>(length)};
    const uint64_t masks[256] = {kAll};
    const ScanTables tables = {lengths, masks};
    uint64_t objects[kObjects];
    for (size_t i = 0; i < kObjects; ++i) objects[i] = reinterpret_cast<uint64_t>(&words_[i * length]);
    wrong_ = 0;
    for (int round = 0; round < kRounds; ++round) {
      Look(GetParam().scan_words(words_.data(), length, kAll, kFilter, out_.data()));
      Look(GetParam().scan_objects(objects, kObjects, tables, kFilter, out_.data()));
      Look(GetParam().scan_alike(objects, kObjects, length, kAll, kFilter, out_.data()));
    }
    EXPECT_EQ(wrong_, 0u) << "from objects of " << length << " words";
  }
  is_over = true;
  writer.join();
}

std::vector<ScanBody> AllBodies() {
  std::vector<ScanBody> bodies(ScanBodies().begin(), ScanBodies().end());
  bodies.push_back(kBoxedScanBody);
  return bodies;
}

INSTANTIATE_TEST_SUITE_P(All, ScanRacingTest, ::testing::ValuesIn(AllBodies()),
                         [](const ::testing::TestParamInfo<ScanBody>& body) { return std::string(body.param.name); });

}  // namespace
}  // namespace acre::arch
