#include <cstring>

#include "acre/acre.h"
#include "allocator/api/heap.h"
#include "allocator/base/units.h"
#include "allocator/collect/collector.h"
#include "allocator/collect/memory_limit.h"
#include "allocator/collect/pacer.h"
#include "os/check.h"
#include "os/environment.h"
#include "os/limits.h"

namespace {

struct NamedOption {
  acre_option text;
  bool (*set)(acre_options& options, const char* value);  // False: not a value that it takes.
};

// Digits, and for sizes a suffix.
bool ReadNumber(const char* text, bool takes_suffix, uint64_t most, uint64_t* number) {
  uint64_t value = 0;
  const char* at = text;
  for (; *at >= '0' && *at <= '9'; ++at) {
    if (__builtin_mul_overflow(value, uint64_t{10}, &value)) return false;
    if (__builtin_add_overflow(value, static_cast<uint64_t>(*at - '0'), &value)) return false;
  }
  if (at == text) return false;
  if (takes_suffix && *at != '\0') {
    const char* suffix = std::strchr("KMG", *at & ~0x20);
    if (suffix == nullptr) return false;
    const int shift = *suffix == 'K' ? 10 : *suffix == 'M' ? 20 : 30;
    if (value > UINT64_MAX >> shift) return false;
    value <<= shift;
    ++at;
  }
  if (*at != '\0' || value > most) return false;
  *number = value;
  return true;
}

bool ReadBytes(const char* text, size_t* bytes) { return ReadNumber(text, true, SIZE_MAX, bytes); }

// 0 for auto. A size that is no limit of sense is no bytes (512 for 512M), and 0 may be meant for none or for auto.
bool ReadMemoryLimit(const char* text, size_t* bytes) {
  size_t read = std::strcmp(text, "none") == 0 ? acre::kNoMemoryLimit : 0;
  if (read == 0 && std::strcmp(text, "auto") != 0) {
    if (!ReadBytes(text, &read) || read < acre::kLeastMemoryLimit) return false;
  }
  *bytes = read;
  return true;
}

bool ReadSwitch(const char* text, bool* value) {
  if (std::strcmp(text, "0") != 0 && std::strcmp(text, "1") != 0) return false;
  *value = text[0] == '1';
  return true;
}

constexpr uint64_t kMaxSignal = 64;

constexpr NamedOption kOptions[] = {
    {{"gc_percent", "100", "a cycle starts when the heap has grown by this much, in percent of what lived (1 to 10000; less than "
      "64M counts double, up to that)"},
     [](acre_options& options, const char* value) {
       uint64_t percent;
       if (!ReadNumber(value, false, acre::kMaxGcPercent, &percent) || percent == 0) return false;
       options.gc_percent = static_cast<uint32_t>(percent);
       return true;
     }},
    {{"min_trigger_bytes", "4M", "no cycle before so much was allocated since the last"},
     [](acre_options& options, const char* value) { return ReadBytes(value, &options.min_trigger_bytes); }},
    {{"hard_limit_bytes", "none", "memory for objects never exceeds this; none for no limit"},
     [](acre_options& options, const char* value) {
       if (std::strcmp(value, "none") != 0) return ReadBytes(value, &options.hard_limit_bytes);
       options.hard_limit_bytes = SIZE_MAX;
       return true;
     }},
    {{"reserve_bytes", "0", "added to the hard limit while its callback runs"},
     [](acre_options& options, const char* value) { return ReadBytes(value, &options.reserve_bytes); }},
    {{"memory_limit_bytes", "auto", "a soft limit of all memory, 1M at least: cycles begin earlier near it; none for no limit; auto for "
      "what ACRE_MEMORY_LIMIT or the cgroup says"},
     [](acre_options& options, const char* value) { return ReadMemoryLimit(value, &options.memory_limit_bytes); }},
    {{"tracker", "stopped", "how a cycle learns what threads write while it marks: stopped (they do not), barrier, or pages"},
     [](acre_options& options, const char* value) {
       constexpr const char* kNames[] = {"stopped", "barrier", "pages"};
       int number = 0;
       for (const char* name : kNames) {
         if (std::strcmp(value, name) == 0) {
           options.tracker = static_cast<acre_tracker_kind>(number);
           return true;
         }
         ++number;
       }
       return false;
     }},
    {{"minor_collections", "0", "with tracker=pages: whether most cycles look at new objects only: 0 or 1"},
     [](acre_options& options, const char* value) { return ReadSwitch(value, &options.minor_collections); }},
    {{"pause_target_us", "1000", "how long the last stop of a cycle beside threads is wanted to be, in microseconds (10 to 1000000)"},
     [](acre_options& options, const char* value) {
       uint64_t us;
       if (!ReadNumber(value, false, acre::kMaxPauseTargetUs, &us) || us < acre::kMinPauseTargetUs) return false;
       options.pause_target_us = static_cast<uint32_t>(us);
       return true;
     }},
    {{"mark_workers", "0", "threads that mark; 0 for as many as there are CPUs to use (at most 64)"},
     [](acre_options& options, const char* value) {
       uint64_t workers;
       if (!ReadNumber(value, false, acre::kMaxMarkers, &workers)) return false;
       options.mark_workers = static_cast<uint32_t>(workers);
       return true;
     }},
    {{"background", "1", "whether the heap may have threads of its own: 0 or 1"},
     [](acre_options& options, const char* value) { return ReadSwitch(value, &options.background); }},
    {{"stop_signal", "23", "the number of the signal that stops threads (SIGURG is 23); 0 to stop at safepoints only"},
     [](acre_options& options, const char* value) {
       uint64_t signal;
       if (!ReadNumber(value, false, kMaxSignal, &signal)) return false;
       options.stop_signal = static_cast<int>(signal);
       return true;
     }},
    {{"end_pointers", "0", "whether a pointer one past an object's end keeps it: 0 or 1"},
     [](acre_options& options, const char* value) { return ReadSwitch(value, &options.end_pointers); }},
};

}  // namespace

size_t acre::MemoryLimitFor(size_t option_bytes) {
  if (option_bytes != 0) return option_bytes;
  const char* text = os::IsSecureExecution() ? nullptr : os::EnvironmentValue("ACRE_MEMORY_LIMIT");
  size_t bytes = 0;
  if (text != nullptr && !ReadMemoryLimit(text, &bytes)) {
    os::Line line;
    (line << "ignoring ACRE_MEMORY_LIMIT=" << text << ": it expects a size of 1M or more, none, or auto").Write();
  }
  return bytes != 0 ? bytes : DefaultMemoryLimit(os::CgroupMemoryLimitBytes(), os::PhysicalMemoryBytes());
}

extern "C" {

void acre_options_init(acre_options* options) {
  const acre::CollectorOptions defaults;
  *options = {};
  options->struct_bytes = sizeof(acre_options);
  options->gc_percent = defaults.gc_percent;
  options->min_trigger_bytes = defaults.min_trigger_bytes;
  options->hard_limit_bytes = SIZE_MAX;
  options->pause_target_us = defaults.pause_target_us;
  options->background = true;
  options->stop_signal = defaults.stop_signal;
}

acre_status acre_options_set(acre_options* options, const char* name, const char* value) {
  for (const NamedOption& option : kOptions) {
    if (std::strcmp(option.text.name, name) == 0) return option.set(*options, value) ? ACRE_OK : ACRE_BAD_ARGUMENT;
  }
  return ACRE_UNKNOWN_OPTION;
}

const acre_option* acre_option_at(size_t index) {
  return index < sizeof(kOptions) / sizeof(kOptions[0]) ? &kOptions[index].text : nullptr;
}

}  // extern "C"
