#include "allocator/base/list.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>

#include "tests/support/seed.h"

namespace acre {
namespace {

struct Element {
  Element* next = nullptr;
  Element* previous = nullptr;
};

void ExpectHolds(const List<Element>& list, const std::deque<Element*>& expected) {
  const Element* previous = nullptr;
  const Element* element = list.first();
  for (const Element* wanted : expected) {
    ASSERT_EQ(element, wanted);
    ASSERT_EQ(element->previous, previous);
    previous = element;
    element = element->next;
  }
  ASSERT_EQ(element, nullptr);
  ASSERT_EQ(list.is_empty(), expected.empty());
}

TEST(List, LastPushedIsPoppedFirst) {
  Element elements[3];
  List<Element> list;
  EXPECT_EQ(list.Pop(), nullptr);
  for (Element& element : elements) list.Push(&element);
  EXPECT_EQ(list.Pop(), &elements[2]);
  EXPECT_EQ(list.Pop(), &elements[1]);
  EXPECT_EQ(list.Pop(), &elements[0]);
  EXPECT_TRUE(list.is_empty());
}

TEST(List, RemovedElementPointsNowhere) {
  Element elements[3];
  List<Element> list;
  for (Element& element : elements) list.Push(&element);
  list.Remove(&elements[1]);
  EXPECT_EQ(elements[1].next, nullptr);
  EXPECT_EQ(elements[1].previous, nullptr);
  ExpectHolds(list, {&elements[2], &elements[0]});
}

TEST(List, RandomOperationsMatchADeque) {
  testing::Random random(testing::Seed("list"));
  Element elements[20];
  List<Element> list;
  std::deque<Element*> model;
  for (int round = 0; round < 5000; ++round) {
    Element* element = &elements[random.Below(20)];
    const auto place = std::ranges::find(model, element);
    if (place != model.end()) {
      model.erase(place);
      list.Remove(element);
    } else {
      model.push_front(element);
      list.Push(element);
    }
    if (!model.empty() && random.OneIn(10)) {
      ASSERT_EQ(list.Pop(), model.front());
      model.pop_front();
    }
    ExpectHolds(list, model);
  }
}

}  // namespace
}  // namespace acre
