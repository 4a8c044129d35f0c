#pragma once

// Memory calls for tests: they go through to the kernel, except where a switch says otherwise, and each is recorded.
//
//   FakeMemory fake;
//   fake.FailNth(3, ENOMEM);                       // The third call from now fails, once.
//   AddressSpace space(fake.calls(), SIZE_MAX);
//
// Threads: any number may call; switches are set while none does.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "os/memory_calls.h"

namespace acre::os {

class FakeMemory {
 public:
  enum class Kind : uint8_t { kMap, kUnmap, kProtect, kAdvise, kQuery, kRemap, kName };
  enum class Repeat : uint8_t { kOnce, kForever };

  struct Call {
    Kind kind;
    uintptr_t address;  // As asked for, also if a hint was ignored.
    size_t bytes;
    int error;          // As answered.
    uintptr_t result;   // Of map and remap.
    Access access = Access::kNone;            // Of map and protect.
    Placement placement = Placement::kHint;   // Of map.
    Advice advice = Advice::kDiscard;         // Of advise.
  };

  FakeMemory();
  FakeMemory(const FakeMemory&) = delete;
  FakeMemory& operator=(const FakeMemory&) = delete;

  const MemoryCalls& calls() const { return calls_; }

  // The nth call from now (1 is the next one), of any kind or of the given one, fails; with kForever each later one as
  // well. Calls of `query` and `name` are counted only if asked for by kind: they cannot leave anything half done.
  void FailNth(size_t nth, int error, Repeat repeat = Repeat::kOnce, std::optional<Kind> kind = std::nullopt);
  void StopFailing();
  bool HasFailed() const;  // Since FailNth.

  // A kernel (grsecurity) or a tracer that ignores addresses without MAP_FIXED: memory comes from elsewhere.
  void IgnoreHints(bool on) { ignores_hints_ = on; }
  // A kernel before 4.17, which takes MAP_FIXED_NOREPLACE for a hint.
  void TakeNoReplaceForHint(bool on) { takes_no_replace_for_hint_ = on; }
  // User-mode Linux: addresses from `limit` on are refused: a hint is not followed, a fixed one gives ENOMEM. What the
  // kernel chooses itself is not limited.
  void RefuseFrom(uintptr_t limit) { refused_from_ = limit; }
  // What a move that fails after it has unmapped its destination leaves behind; `remap` then always fails so.
  void LoseDestinationOfRemap(bool on) { loses_destination_ = on; }

  // Runs `action` once, just before the nth call of this kind from now is carried out: what another thread does in that
  // moment. The action must not use this table.
  void BeforeNth(size_t nth, Kind kind, std::function<void()> action);

  std::vector<Call> log() const;
  size_t CountOf(Kind kind) const;
  void ClearLog();

  // What was mapped through this table and not unmapped through it.
  size_t mapped_bytes() const;
  // Unmaps that; for tests that leave something behind on purpose.
  void UnmapAll();

 private:
  static MapResult Map(void* context, uintptr_t address, size_t bytes, Access access, Placement placement);
  static int Unmap(void* context, uintptr_t base, size_t bytes);
  static int Protect(void* context, uintptr_t base, size_t bytes, Access access);
  static int Advise(void* context, uintptr_t base, size_t bytes, Advice advice);
  static int Query(void* context, uintptr_t base);
  static MapResult Remap(void* context, uintptr_t base, size_t old_bytes, size_t new_bytes, uintptr_t to);
  static void Name(void* context, uintptr_t base, size_t bytes, const char* name);

  int InjectedError(Kind kind);
  void RunAction(Kind kind);
  MapResult MapAsTold(uintptr_t address, size_t bytes, Access access, Placement placement);
  MapResult MapElsewhere(uintptr_t avoided, size_t bytes, Access access);
  void AddMapped(uintptr_t base, size_t bytes);
  void RemoveMapped(uintptr_t base, size_t bytes);

  const MemoryCalls& kernel_ = KernelMemoryCalls();
  MemoryCalls calls_;

  bool ignores_hints_ = false;
  bool takes_no_replace_for_hint_ = false;
  bool loses_destination_ = false;
  uintptr_t refused_from_ = UINTPTR_MAX;

  mutable std::mutex mutex_;
  // All below guarded by mutex_.
  size_t calls_until_failure_ = 0;  // 0: no failure is due.
  int error_ = 0;
  Repeat repeat_ = Repeat::kOnce;
  std::optional<Kind> failing_kind_;
  bool has_failed_ = false;
  size_t calls_until_action_ = 0;  // 0: no action is due.
  Kind action_kind_ = Kind::kMap;
  std::function<void()> action_;
  std::vector<Call> log_;
  std::map<uintptr_t, uintptr_t> mapped_;  // base → limit, disjoint.
};

}  // namespace acre::os
