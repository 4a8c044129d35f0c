#include "allocator/compat/malloc/options.h"

#include <cstring>

#include "os/check.h"
#include "os/debug_options.h"
#include "os/environment.h"

namespace acre::compat {
namespace {

constexpr char kPrefix[] = "ACRE_";
constexpr size_t kPrefixBytes = sizeof(kPrefix) - 1;

struct Option {
  const char* name;
  const char* expects;
  bool (*set)(Options* options, const char* value);  // False: not a value it takes.
};

bool ReadSwitch(const char* value, bool* result) {
  if (std::strcmp(value, "0") != 0 && std::strcmp(value, "1") != 0) return false;
  *result = value[0] == '1';
  return true;
}

constexpr Option kOptions[] = {
    {"STATS", "expects 0 or 1", [](Options* o, const char* value) { return ReadSwitch(value, &o->prints_stats); }},
    {"BACKGROUND", "expects 0 or 1",
     [](Options* o, const char* value) { return ReadSwitch(value, &o->may_start_thread); }},
    {"HUGE_PAGES", "expects never or auto",
     [](Options* o, const char* value) {
       const bool is_never = std::strcmp(value, "never") == 0;
       if (!is_never && std::strcmp(value, "auto") != 0) return false;
       o->huge_page_threshold_bytes = is_never ? SIZE_MAX : kAutoHugePageBytes;
       return true;
     }},
};

// Entries that begin so belong to the test and benchmark programs, to os/debug_options.h, or to collected heaps.
constexpr const char* kForeign[] = {"TEST_", "BENCH_", "STRESS_", "DEBUG=", "MEMORY_LIMIT="};

}  // namespace

const char* SetOption(Options* options, const char* entry) {
  for (const char* prefix : kForeign) {
    if (std::strncmp(entry, prefix, std::strlen(prefix)) == 0) return nullptr;
  }
  const char* equals = std::strchr(entry, '=');
  if (equals == nullptr) return nullptr;
  for (const Option& option : kOptions) {
    const size_t length = std::strlen(option.name);
    if (static_cast<size_t>(equals - entry) != length || std::strncmp(entry, option.name, length) != 0) continue;
    return option.set(options, equals + 1) ? nullptr : option.expects;
  }
  return "is not an option of this library";
}

void ReadOptions(Options* options) {
  if (os::IsSecureExecution()) return;
  (void)os::ReadDebugOptions();  // Names what it does not understand; who follows an option reads it again.
  os::ForEachEnvironment(kPrefix, options, [](void* context, const char* entry) {
    const char* problem = SetOption(static_cast<Options*>(context), entry + kPrefixBytes);
    if (problem == nullptr) return;
    os::Line line;
    (line << "ignoring " << entry << ": it " << problem).Write();
  });
}

}  // namespace acre::compat
