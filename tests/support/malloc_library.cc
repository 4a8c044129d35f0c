#include "tests/support/malloc_library.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace acre::testing {
namespace {

std::string BaseName(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

}  // namespace

std::string MallocFile() {
  Dl_info info{};
  const bool is_found = dladdr(reinterpret_cast<void*>(&malloc), &info) != 0;
  return is_found && info.dli_fname != nullptr ? info.dli_fname : "?";
}

bool RunsOnAcre() {
  const char* is_linked = std::getenv("COMPAT_LINKED_IN");  // Set by the build for programs that link libacre_malloc.a.
  if (is_linked != nullptr && *is_linked == '1') return true;
  return BaseName(MallocFile()).rfind("libacre_malloc", 0) == 0;
}

bool MallocIsAsExpected() {
  const std::string found = MallocFile();
  std::printf("malloc comes from %s\n", found.c_str());
  const char* expected = std::getenv("COMPAT_EXPECT_MALLOC");
  if (expected == nullptr || BaseName(expected) == BaseName(found)) return true;
  std::printf("FAILED: malloc should come from %s\n", expected);
  return false;
}

}  // namespace acre::testing
