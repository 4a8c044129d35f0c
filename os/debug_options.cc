#include "os/debug_options.h"

#include <atomic>
#include <cstddef>
#include <cstring>
#include <span>

#include "os/check.h"
#include "os/environment.h"

namespace acre::os {
namespace {

using Piece = std::span<const char>;

struct Option {
  const char* name;
  const char* expects;
  bool (*set)(DebugOptions* options, Piece value);  // False: not a value it takes.
};

bool Equals(Piece piece, const char* text) {
  return piece.size() == std::strlen(text) && std::memcmp(piece.data(), text, piece.size()) == 0;
}

bool ReadSwitch(Piece value, bool* result) {
  if (!Equals(value, "0") && !Equals(value, "1")) return false;
  *result = value[0] == '1';
  return true;
}

// Decimal, without a sign.
bool ReadNumber(Piece value, uint64_t* result) {
  constexpr uint64_t kBase = 10;
  if (value.empty()) return false;
  uint64_t number = 0;
  for (const char digit : value) {
    if (digit < '0' || digit > '9') return false;
    if (__builtin_mul_overflow(number, kBase, &number)) return false;
    if (__builtin_add_overflow(number, static_cast<uint64_t>(digit - '0'), &number)) return false;
  }
  *result = number;
  return true;
}

constexpr const char* kRootSourceNames[] = {"stacks",   "registers", "vectors", "redzone",
                                            "altstack", "ranges",    "handles", "callbacks", "barrier", "pages",
                                            "pins"};
constexpr size_t kRootSourceNameCount = sizeof(kRootSourceNames) / sizeof(kRootSourceNames[0]);
static_assert(kRootSourceNameCount == static_cast<size_t>(RootSource::kCount));

bool ReadRootSource(Piece name, RootSources* sources) {
  for (size_t number = 0; number < kRootSourceNameCount; ++number) {
    if (!Equals(name, kRootSourceNames[number])) continue;
    *sources = *sources | static_cast<RootSource>(number);
    return true;
  }
  return false;
}

// Names joined by '+'.
bool ReadRootSources(Piece value, RootSources* result) {
  RootSources sources;
  for (;;) {
    size_t bytes = 0;
    while (bytes < value.size() && value[bytes] != '+') ++bytes;
    if (!ReadRootSource(value.first(bytes), &sources)) return false;
    if (bytes == value.size()) break;
    value = value.subspan(bytes + 1);
  }
  *result = sources;
  return true;
}

constexpr Option kOptions[] = {
    {"kernelbug", "expects 0 or 1",
     [](DebugOptions* options, Piece value) { return ReadSwitch(value, &options->counts_kernel_as_buggy); }},
    {"verify", "expects 0 or 1",
     [](DebugOptions* options, Piece value) { return ReadSwitch(value, &options->verifies_marks); }},
    {"clobber", "expects 0 or 1",
     [](DebugOptions* options, Piece value) { return ReadSwitch(value, &options->clobbers_freed); }},
    {"stress", "expects a number of allocations",
     [](DebugOptions* options, Piece value) { return ReadNumber(value, &options->stress_allocations); }},
    {"droproot", "expects stacks, registers, vectors, redzone, altstack, ranges, handles, callbacks, barrier, pages, pins, joined by +",
     [](DebugOptions* options, Piece value) { return ReadRootSources(value, &options->dropped_roots); }},
};

// Null, or what is wrong with the entry.
const char* SetOption(Piece entry, DebugOptions* options) {
  size_t name_bytes = 0;
  while (name_bytes < entry.size() && entry[name_bytes] != '=') ++name_bytes;
  for (const Option& option : kOptions) {
    if (!Equals(entry.first(name_bytes), option.name)) continue;
    if (name_bytes == entry.size()) return option.expects;
    return option.set(options, entry.subspan(name_bytes + 1)) ? nullptr : option.expects;
  }
  return "is not a debug option of this library";
}

void NameProblem(void*, Piece entry, const char* problem) {
  // The entry ends at a comma, and a Line takes terminated text.
  char name[Line::kCapacity / 2];
  const size_t taken = entry.size() < sizeof name - 1 ? entry.size() : sizeof name - 1;
  std::memcpy(name, entry.data(), taken);
  name[taken] = '\0';
  Line line;
  (line << "ignoring " << name << " in ACRE_DEBUG: it " << problem).Write();
}

void SayNothing(void*, Piece, const char*) {}

}  // namespace

void ParseDebugOptions(const char* list, DebugOptions* options, void* context, DebugOptionReport* report) {
  while (*list != '\0') {
    const size_t bytes = std::strcspn(list, ",");
    // Commas side by side and at the ends are harmless.
    if (bytes != 0) {
      const char* problem = SetOption({list, bytes}, options);
      if (problem != nullptr) report(context, {list, bytes}, problem);
    }
    list += bytes;
    if (*list == ',') ++list;
  }
}

DebugOptions ReadDebugOptions() {
  static constinit std::atomic<bool> has_reported{false};
  DebugOptions options;
  if (!HasEnvironment() || IsSecureExecution()) return options;
  const char* list = EnvironmentValue("ACRE_DEBUG");
  if (list == nullptr) return options;
  const bool is_first = !has_reported.exchange(true, std::memory_order_relaxed);
  ParseDebugOptions(list, &options, nullptr, is_first ? NameProblem : SayNothing);
  return options;
}

}  // namespace acre::os
