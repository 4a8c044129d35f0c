// The wide scan kernels against the portable one, and that one against a loop written here. Every length up to the longest
// run, every alignment of words within a vector, every pattern of pointers among four words and random ones beyond;
// memory between guard pages, so that a read beyond a run faults; the words written behind the allowed rubbish are kept.

#include "arch/scan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "tests/unit/arch/memory_support.h"
#include "tests/unit/arch/scan_support.h"

namespace acre::arch {

namespace {

constexpr uint64_t kLow = uint64_t{0xc0} << 32;
constexpr uint64_t kBytes = uint64_t{1} << 30;
constexpr uint64_t kSentinel = 0x5e5e5e5e5e5e5e5e;
constexpr ScanFilter kFilter = {.low = kLow, .bytes = kBytes};

std::vector<uint64_t> Expected(const uint64_t* words, size_t count, uint64_t mask, const ScanFilter& filter) {
  std::vector<uint64_t> found;
  for (size_t i = 0; i < count; ++i) {
    if ((mask >> i & 1) == 0) continue;
    if (words[i] >= filter.low && words[i] - filter.low < filter.bytes) found.push_back(words[i]);
    if (filter.tag_mask == 0 || (words[i] & filter.tag_mask) != filter.tag) continue;
    const uint64_t inside = (words[i] ^ filter.tag_xor) & filter.tag_and;
    if (inside >= filter.low && inside - filter.low < filter.bytes) found.push_back(inside);
  }
  return found;
}

// A buffer that shows what was written behind the candidates and their slack.
class Output {
 public:
  uint64_t* base() { return words_.data(); }

  void Expect(const std::vector<uint64_t>& expected, const uint64_t* limit) {
    ASSERT_EQ(static_cast<size_t>(limit - base()), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(words_[i], expected[i]) << "candidate " << i;
    for (size_t i = expected.size() + kScanSlackWords; i < words_.size(); ++i) ASSERT_EQ(words_[i], kSentinel) << i;
  }
  void Clear() { words_.assign(words_.size(), kSentinel); }

 private:
  std::vector<uint64_t> words_ = std::vector<uint64_t>(70 * 2 * kMaxScanWords, kSentinel);
};

// Words of all sorts: at the ends of the range, just outside, far away, small numbers, with the top bit set.
uint64_t AnyWord(std::mt19937_64& random) {
  const uint64_t sorts[] = {kLow,
                            kLow - 1,
                            kLow + kBytes - 1,
                            kLow + kBytes,
                            kLow + random() % kBytes,
                            0,
                            random() % 1000,
                            random(),
                            ~uint64_t{0},
                            uint64_t{1} << 63,
                            (uint64_t{1} << 63) + kLow,
                            uint64_t{0xfff8} << 48 | (kLow + random() % kBytes)};
  return sorts[random() % std::size(sorts)];
}

class ScanBodyTest : public testing::TestWithParam<ScanBody> {
 protected:
  void SetUp() override {
    if (!GetParam().is_supported(DetectCpuFeatures())) {
      GTEST_SKIP() << "this CPU or operating system lacks what the " << GetParam().name << " body needs";
    }
  }
  void CheckWords(const uint64_t* words, size_t count, uint64_t mask, const ScanFilter& filter) {
    output_.Clear();
    const uint64_t* limit = GetParam().scan_words(words, count, mask, filter, output_.base());
    output_.Expect(Expected(words, count, mask, filter), limit);
  }

  Output output_;
  GuardedMemory memory_{4096};
};

TEST_P(ScanBodyTest, EveryLengthAtEitherEndOfReadableMemoryFindsTheSame) {
  std::mt19937_64 random(Seed());
  auto* const base = reinterpret_cast<uint64_t*>(memory_.base());
  auto* const limit = reinterpret_cast<uint64_t*>(memory_.limit());
  for (size_t count = 0; count <= kMaxScanWords; ++count) {
    for (int round = 0; round < 20; ++round) {
      for (uint64_t* word = base; word != limit; ++word) *word = AnyWord(random);
      const uint64_t mask = round % 2 == 0 ? ~uint64_t{0} : random();
      for (size_t shift = 0; shift < 8; ++shift) CheckWords(base + shift, count, mask, kFilter);
      CheckWords(limit - count, count, mask, kFilter);
      if (HasFatalFailure()) FAIL() << count << " words";
    }
  }
}

TEST_P(ScanBodyTest, EveryPatternOfPointersAndFieldsInFourWordsFindsTheSame) {
  auto* const words = reinterpret_cast<uint64_t*>(memory_.base());
  for (uint64_t pattern = 0; pattern < 16; ++pattern) {
    for (uint64_t mask = 0; mask < 16; ++mask) {
      for (size_t i = 0; i < 4; ++i) words[i] = (pattern >> i & 1) != 0 ? kLow + 16 * i : i;
      CheckWords(words, 4, mask, kFilter);
      if (HasFatalFailure()) FAIL() << pattern << " under " << mask;
    }
  }
}

TEST_P(ScanBodyTest, RangesThatReachTheTopOrAreEmptyFindTheSame) {
  std::mt19937_64 random(Seed());
  auto* const words = reinterpret_cast<uint64_t*>(memory_.base());
  const ScanFilter filters[] = {{.low = 0, .bytes = 0}, {.low = 0, .bytes = ~uint64_t{0}},
                                {.low = uint64_t{1} << 63, .bytes = ~uint64_t{0} >> 1}, {.low = kLow, .bytes = 1}};
  for (const ScanFilter& filter : filters) {
    for (int round = 0; round < 50; ++round) {
      for (size_t i = 0; i < kMaxScanWords; ++i) words[i] = AnyWord(random);
      CheckWords(words, kMaxScanWords, ~uint64_t{0}, filter);
    }
  }
}

TEST_P(ScanBodyTest, WavesOfMixedObjectsFindWhatTheirObjectsHold) {
  std::mt19937_64 random(Seed());
  constexpr size_t kObjects = 64;
  uint8_t lengths[256] = {};
  uint64_t masks[256] = {};
  for (size_t code = 1; code <= kMaxScanWords / 2; ++code) lengths[code] = static_cast<uint8_t>(2 * code);
  for (uint64_t& mask : masks) mask = random();
  masks[0] = ~uint64_t{0};
  GuardedMemory heap(kObjects * kMaxScanWords * sizeof(uint64_t));
  for (int round = 0; round < 200; ++round) {
    auto* next = reinterpret_cast<uint64_t*>(heap.limit());
    std::vector<uint64_t> objects;
    std::vector<uint64_t> expected;
    for (size_t i = 0; i < kObjects; ++i) {
      // One size through a whole wave now and then, as in most heaps.
      const uint64_t size_code = round % 4 == 0 ? 1 + static_cast<uint64_t>(round) / 4 % 32 : 1 + random() % 32;
      const uint64_t shape_code = round % 3 == 0 ? 0 : random() % 256;
      next -= lengths[size_code];
      for (size_t word = 0; word < lengths[size_code]; ++word) next[word] = AnyWord(random);
      objects.push_back(reinterpret_cast<uint64_t>(next) | size_code << kScanSizeShift | shape_code << kScanShapeShift);
      const std::vector<uint64_t> found = Expected(next, lengths[size_code], masks[shape_code], kFilter);
      expected.insert(expected.end(), found.begin(), found.end());
    }
    output_.Clear();
    const ScanTables tables = {lengths, masks};
    const uint64_t* limit = GetParam().scan_objects(objects.data(), objects.size(), tables, kFilter, output_.base());
    output_.Expect(expected, limit);
    if (HasFatalFailure()) FAIL() << "round " << round;
  }
}

TEST_P(ScanBodyTest, ObjectsThatAreAlikeFindWhatTheyHold) {
  std::mt19937_64 random(Seed());
  constexpr size_t kObjects = 37;
  GuardedMemory heap(kObjects * kMaxScanWords * sizeof(uint64_t));
  for (size_t length = 2; length <= kMaxScanWords; length += 2) {
    for (size_t count = 0; count <= kObjects; ++count) {
      const uint64_t mask = count % 2 == 0 ? ~uint64_t{0} : random();
      auto* next = reinterpret_cast<uint64_t*>(heap.limit());
      std::vector<uint64_t> addresses;
      std::vector<uint64_t> expected;
      for (size_t i = 0; i < count; ++i) {
        next -= length;
        for (size_t word = 0; word < length; ++word) next[word] = AnyWord(random);
        addresses.push_back(reinterpret_cast<uint64_t>(next));
        const std::vector<uint64_t> found = Expected(next, length, mask, kFilter);
        expected.insert(expected.end(), found.begin(), found.end());
      }
      output_.Clear();
      output_.Expect(expected, GetParam().scan_alike(addresses.data(), count, length, mask, kFilter, output_.base()));
      if (HasFatalFailure()) FAIL() << count << " objects of " << length << " words";
    }
  }
}

TEST_P(ScanBodyTest, ObjectsAreTakenFromTheLastOnAsLongAsTheyAreAlike) {
  constexpr uint64_t kCode = uint64_t{0x4203} << kScanSizeShift;
  constexpr size_t kMost = 24;
  for (size_t count = 0; count <= kMost; ++count) {
    for (size_t alike = 0; alike <= count; ++alike) {
      for (const uint64_t other : {uint64_t{0x4202}, uint64_t{0x4303}, uint64_t{0xc203}, uint64_t{0}}) {
        std::vector<uint64_t> objects(count);
        for (size_t i = 0; i < count; ++i) {
          const uint64_t code = i + alike >= count ? kCode : other << kScanSizeShift;
          objects[i] = reinterpret_cast<uint64_t>(memory_.base()) + 16 * i + code;
        }
        std::vector<uint64_t> addresses(kMost + kTakeSlack + 1, kSentinel);
        ASSERT_EQ(GetParam().take_alike(objects.data() + count, count, kCode, addresses.data()), alike);
        for (size_t i = 0; i < alike; ++i) ASSERT_EQ(addresses[i], objects[count - 1 - i] - kCode);
        ASSERT_EQ(addresses[alike + kTakeSlack], kSentinel);
      }
    }
  }
}

std::vector<ScanBody> AllBodies() {
  std::vector<ScanBody> bodies(ScanBodies().begin(), ScanBodies().end());
  bodies.push_back(kBoxedScanBody);
  return bodies;
}

INSTANTIATE_TEST_SUITE_P(All, ScanBodyTest, testing::ValuesIn(AllBodies()),
                         [](const testing::TestParamInfo<ScanBody>& body) { return std::string(body.param.name); });

TEST(ScanBoxedTest, AWordWithTheTagYieldsThePointerInside) {
  std::mt19937_64 random(Seed());
  ScanFilter filter = kFilter;
  filter.tag_mask = uint64_t{0xffff} << 48;
  filter.tag = filter.tag_xor = uint64_t{0xfff8} << 48;
  filter.tag_and = ~uint64_t{7};
  uint64_t words[kMaxScanWords];
  Output output;
  for (int round = 0; round < 200; ++round) {
    for (uint64_t& word : words) word = AnyWord(random);
    words[5] = uint64_t{0xfff8} << 48 | (kLow + 16) | 3;
    output.Clear();
    const std::vector<uint64_t> all = Expected(words, kMaxScanWords, ~uint64_t{0}, filter);
    EXPECT_NE(std::find(all.begin(), all.end(), kLow + 16), all.end());
    output.Expect(all, kBoxedScanBody.scan_words(words, kMaxScanWords, ~uint64_t{0}, filter, output.base()));
    if (HasFatalFailure()) FAIL() << "round " << round;
  }
}

TEST(ScanBodiesTest, ThePortableBodyIsFirstAndRunsEverywhere) {
  EXPECT_EQ(ScanBodies().front().scan_words, &ScanWordsPortable);
  EXPECT_STREQ(ChooseScanBody(CpuFeatures{}).name, "portable");
}

}  // namespace
}  // namespace acre::arch
