// FindSlots of every body against a loop written here, over a chunk with pages of all sorts: none, of one page, of several,
// large, and with codes that have nothing in common.

#include "arch/slots.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/arch/memory_support.h"
#include "tests/unit/arch/scan_support.h"

namespace acre::arch {

namespace {

constexpr size_t kChunk = size_t{1} << SlotLayout::kChunkShift;
constexpr size_t kPage = size_t{1} << SlotLayout::kPageShift;
constexpr size_t kPages = kChunk / kPage;
constexpr size_t kDescriptors = 3 * kPage;
constexpr size_t kLines = 64 * kPage;
constexpr uint64_t kSentinel = 0x5e5e5e5e5e5e5e5e;

class FindSlotsTest : public testing::TestWithParam<ScanBody> {
 protected:
  void SetUp() override {
    if (!GetParam().is_supported(DetectCpuFeatures())) GTEST_SKIP() << "not on this CPU";
    // Two chunks beside one another, of which only the records are touched.
    memory_ = mmap(nullptr, 3 * kChunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    ASSERT_NE(memory_, MAP_FAILED);
    base_ = (reinterpret_cast<uint64_t>(memory_) + kChunk - 1) & ~(kChunk - 1);
    for (uint64_t code = 1; code < 64; ++code) {
      const uint64_t bytes = 16 * code;
      arithmetic_[code] = ((uint64_t{1} << 32) + bytes - 1) / bytes | bytes << 32;
    }
  }
  void TearDown() override {
    if (memory_ != nullptr) munmap(memory_, 3 * kChunk);
  }

  uint32_t* DescriptorsOf(uint64_t chunk) { return reinterpret_cast<uint32_t*>(chunk + kDescriptors); }

  void FillWithSpans(uint64_t chunk, std::mt19937_64& random) {
    for (size_t page = 100; page < kPages;) {
      const size_t length = std::min<size_t>(1 + random() % 8, kPages - page);
      const uint32_t code = static_cast<uint32_t>(random() % 256 << 8 | random() % 80);  // From 64 on: large.
      const bool is_span = random() % 8 != 0 && code != 0;
      for (size_t i = 0; i < length; ++i) {
        DescriptorsOf(chunk)[page + i] = is_span ? code | static_cast<uint32_t>(i) << 16 : 0;
      }
      page += length;
    }
  }

  struct Slots {
    std::vector<uint64_t> objects;
    std::vector<uint64_t> words;
    std::vector<uint64_t> masks;
  };

  Slots Expected(const std::vector<uint64_t>& words) {
    Slots slots;
    for (size_t i = words.size(); i-- > 0;) {
      const uint64_t chunk = words[i] & ~(kChunk - 1);
      const uint32_t descriptor = DescriptorsOf(chunk)[(words[i] - chunk) / kPage];
      if (descriptor == 0) continue;
      const uint64_t first = (words[i] - chunk) / kPage - (descriptor >> 16);
      const uint64_t start = chunk + first * kPage;
      const uint64_t bytes = arithmetic_[descriptor & 0xff] >> 32;
      const uint64_t slot = bytes == 0 ? 0 : (words[i] - start) / bytes;
      slots.objects.push_back((start + slot * bytes) | uint64_t{descriptor & 0xffff} << 48);
      slots.words.push_back(chunk + kLines + first * 64 + slot / 64 * 8);
      slots.masks.push_back(uint64_t{1} << slot % 64);
    }
    return slots;
  }

  void Check(const std::vector<uint64_t>& words) {
    const Slots expected = Expected(words);
    const size_t room = words.size() + kFindSlack + 1;
    Slots found = {std::vector(room, kSentinel), std::vector(room, kSentinel), std::vector(room, kSentinel)};
    const SlotLayout layout = {.descriptors = kDescriptors, .lines = kLines, .arithmetic = arithmetic_.data()};
    const size_t count = GetParam().find_slots(words.data() + words.size(), words.size(), layout, found.objects.data(),
                                               {.words = found.words.data(), .masks = found.masks.data()});
    ASSERT_EQ(count, expected.objects.size());
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(found.objects[i], expected.objects[i]) << i;
      ASSERT_EQ(found.words[i], expected.words[i]) << i;
      ASSERT_EQ(found.masks[i], expected.masks[i]) << i;
    }
    ASSERT_EQ(found.objects.back(), kSentinel);
    ASSERT_EQ(found.words.back(), kSentinel);
    ASSERT_EQ(found.masks.back(), kSentinel);
  }

  void* memory_ = nullptr;
  uint64_t base_ = 0;
  std::array<uint64_t, 256> arithmetic_{};
};

TEST_P(FindSlotsTest, EveryNumberOfWordsOfTwoChunksFindsTheSame) {
  std::mt19937_64 random(Seed());
  for (int round = 0; round < 20; ++round) {
    FillWithSpans(base_, random);
    FillWithSpans(base_ + kChunk, random);
    for (size_t count = 0; count <= 40; ++count) {
      std::vector<uint64_t> words(count);
      const bool is_near = random() % 2 == 0;  // All in a few pages, as most often.
      const uint64_t from = random() % (2 * kChunk - 4 * kPage);
      for (uint64_t& word : words) word = base_ + (is_near ? from + random() % (4 * kPage) : random() % (2 * kChunk));
      Check(words);
      if (HasFatalFailure()) FAIL() << count << " words";
    }
  }
}

TEST_P(FindSlotsTest, FirstAndLastByteOfEverySlotOfASpanFindTheSame) {
  for (uint32_t code = 1; code < 64; ++code) {
    constexpr size_t kSpan = 2;
    for (uint32_t i = 0; i < kSpan; ++i) DescriptorsOf(base_)[200 + i] = 0x4100 | code | i << 16;
    std::vector<uint64_t> words;
    for (size_t offset = 0; offset + 16 * code <= kSpan * kPage; offset += 16 * code) {
      words.push_back(base_ + 200 * kPage + offset);
      words.push_back(words.back() + 16 * code - 1);
    }
    Check(words);
    if (HasFatalFailure()) FAIL() << "slots of " << 16 * code << " bytes";
  }
}

INSTANTIATE_TEST_SUITE_P(All, FindSlotsTest, testing::ValuesIn(ScanBodies().begin(), ScanBodies().end()),
                         [](const testing::TestParamInfo<ScanBody>& body) { return std::string(body.param.name); });

}  // namespace
}  // namespace acre::arch
