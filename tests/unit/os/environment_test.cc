#include "os/environment.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

namespace acre::os {
namespace {

TEST(Environment, ValueIsFoundByWholeName) {
  ASSERT_EQ(setenv("ACRE_TEST_NAME", "value=1", 1), 0);
  ASSERT_EQ(setenv("ACRE_TEST_EMPTY", "", 1), 0);
  EXPECT_TRUE(HasEnvironment());
  EXPECT_STREQ(EnvironmentValue("ACRE_TEST_NAME"), "value=1");
  EXPECT_STREQ(EnvironmentValue("ACRE_TEST_EMPTY"), "");
  EXPECT_EQ(EnvironmentValue("ACRE_TEST_NAM"), nullptr);
  EXPECT_EQ(EnvironmentValue("ACRE_TEST_NAME_LONGER"), nullptr);
}

TEST(Environment, EntriesAreVisitedByPrefix) {
  ASSERT_EQ(setenv("ACRE_VISIT_A", "1", 1), 0);
  ASSERT_EQ(setenv("ACRE_VISIT_B", "2", 1), 0);
  std::vector<std::string> seen;
  ForEachEnvironment("ACRE_VISIT_", &seen, [](void* context, const char* entry) {
    static_cast<std::vector<std::string>*>(context)->push_back(entry);
  });
  std::ranges::sort(seen);
  EXPECT_EQ(seen, (std::vector<std::string>{"ACRE_VISIT_A=1", "ACRE_VISIT_B=2"}));
}

TEST(Environment, MissingEnvironmentHasNoValues) {
  char** const kept = environ;
  environ = nullptr;
  const bool has_environment = HasEnvironment();
  const char* const path = EnvironmentValue("PATH");
  int visits = 0;
  ForEachEnvironment("", &visits, [](void* context, const char*) { ++*static_cast<int*>(context); });
  environ = kept;
  EXPECT_FALSE(has_environment);
  EXPECT_EQ(path, nullptr);
  EXPECT_EQ(visits, 0);
}

TEST(Environment, TestsRunWithoutRaisedPrivileges) { EXPECT_FALSE(IsSecureExecution()); }

}  // namespace
}  // namespace acre::os
