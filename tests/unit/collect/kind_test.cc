#include "allocator/collect/kind.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

#include "allocator/base/bits.h"
#include "tests/support/seed.h"

namespace acre {
namespace {

bool IsField(const std::vector<uint64_t>& bitmap, uint32_t words, size_t word) {
  return TestBit(bitmap.data(), static_cast<uint32_t>(word % words));
}

TEST(KindTest, FormAndNumberAreTheKindsTwoParts) {
  for (uint32_t number = 0; number < kMaxKinds; ++number) {
    for (const TraceForm form : {TraceForm::kConservative, TraceForm::kNone, TraceForm::kBitmap, TraceForm::kFunction}) {
      EXPECT_EQ(FormOf(MakeKind(form, number)), form);
      EXPECT_EQ(NumberOf(MakeKind(form, number)), number);
    }
  }
}

TEST(KindTableTest, BitmapsOfEveryLengthRepeatFromEveryPhase) {
  testing::Random random(testing::Seed("bitmaps"));
  for (uint32_t words = 1; words <= 200; ++words) {
    auto table = std::make_unique<KindTable>();
    std::vector<uint64_t> bitmap(words / kWordBits + 1);
    for (uint64_t& bits : bitmap) bits = random.Next();
    Kind kind = 0;
    ASSERT_EQ(table->AddBitmap(bitmap.data(), words, &kind), Status::kOk);
    ASSERT_EQ(FormOf(kind), TraceForm::kBitmap);
    ASSERT_EQ(table->PeriodWords(kind), words);
    for (uint32_t phase = 0; phase < words; ++phase) {
      const uint64_t mask = table->FieldMask(kind, phase);
      for (uint32_t i = 0; i < kWordBits; ++i) {
        ASSERT_EQ(mask >> i & 1, IsField(bitmap, words, phase + i) ? 1u : 0u) << words << " " << phase << " " << i;
      }
    }
    EXPECT_EQ(table->first_masks()[kind], table->FieldMask(kind, 0));
  }
}

TEST(KindTableTest, AShortBitmapIsCopied) {
  KindTable table;
  uint64_t bitmap = 2;
  Kind kind = 0;
  ASSERT_EQ(table.AddBitmap(&bitmap, 2, &kind), Status::kOk);
  bitmap = 0;
  EXPECT_EQ(table.FieldMask(kind, 0), 0xaaaaaaaaaaaaaaaa);
  EXPECT_EQ(table.FieldMask(kind, 1), 0x5555555555555555u);
}

TEST(KindTableTest, ConservativeIsAllFieldsAndNoPointersNone) {
  const KindTable table;
  EXPECT_EQ(table.FieldMask(kConservative, 0), ~uint64_t{0});
  EXPECT_EQ(table.FieldMask(kNoPointers, 0), 0u);
  EXPECT_EQ(table.first_masks()[kConservative], ~uint64_t{0});
  EXPECT_EQ(table.first_masks()[kNoPointers], 0u);
}

TEST(KindTableTest, IsFullAfterItsLastNumberAndWhatIsThereStaysToBeHad) {
  KindTable table;
  const auto pick = [](void*, void*, size_t, acre_tracer*) { return true; };
  char contexts[kMaxKinds];
  Kind kind = 0;
  for (uint32_t number = 2; number < kMaxKinds; ++number) {  // 0 and 1 need no entry.
    ASSERT_EQ(table.AddFunction(pick, &contexts[number], &kind), Status::kOk);
    EXPECT_EQ(NumberOf(kind), number);
  }
  const uint64_t bitmap = 1;
  EXPECT_EQ(table.AddBitmap(&bitmap, 1, &kind), Status::kOutOfMemory);
  EXPECT_EQ(table.AddFunction(pick, nullptr, &kind), Status::kOutOfMemory);
  EXPECT_EQ(table.AddFunction(pick, &contexts[5], &kind), Status::kOk);
  EXPECT_EQ(NumberOf(kind), 5u);
}

TEST(KindTableTest, EqualBitmapsAreOneKindAndOthersAreNot) {
  KindTable table;
  const uint64_t bitmap[] = {5, 0, 1};
  Kind kinds[5] = {};
  ASSERT_EQ(table.AddBitmap(bitmap, 3, &kinds[0]), Status::kOk);
  ASSERT_EQ(table.AddBitmap(bitmap, 4, &kinds[1]), Status::kOk);
  ASSERT_EQ(table.AddBitmap(bitmap, 129, &kinds[2]), Status::kOk);
  const uint64_t more = 0xd;  // The same in its first three bits.
  ASSERT_EQ(table.AddBitmap(&more, 3, &kinds[3]), Status::kOk);
  ASSERT_EQ(table.AddBitmap(bitmap, 129, &kinds[4]), Status::kOk);
  EXPECT_EQ(kinds[3], kinds[0]);
  EXPECT_EQ(kinds[4], kinds[2]);
  EXPECT_NE(kinds[0], kinds[1]);
  EXPECT_NE(kinds[0], kinds[2]);
  EXPECT_NE(kinds[1], kinds[2]);
}

}  // namespace
}  // namespace acre
