#include "os/fake/fake_memory.h"

#include <errno.h>

#include <algorithm>
#include <utility>

#include "os/foreign_locks.h"

namespace acre::os {
namespace {

FakeMemory& Self(void* context) { return *static_cast<FakeMemory*>(context); }

// The kernel takes no lock of the C library; the records that stand beside it allocate, also while the world is stopped.
// No test stops a thread that may be in malloc then.
class RecordsMayAllocate {
 public:
  RecordsMayAllocate() {
    for (; AreForeignLocksForbidden(); ++depth_) AllowForeignLocks();
  }
  ~RecordsMayAllocate() {
    for (; depth_ > 0; --depth_) ForbidForeignLocks();
  }
  RecordsMayAllocate(const RecordsMayAllocate&) = delete;
  RecordsMayAllocate& operator=(const RecordsMayAllocate&) = delete;

 private:
  size_t depth_ = 0;
};

}  // namespace

FakeMemory::FakeMemory() : calls_{this, Map, Unmap, Protect, Advise, Query, Remap, Name} {}

void FakeMemory::FailNth(size_t nth, int error, Repeat repeat, std::optional<Kind> kind) {
  const std::lock_guard lock(mutex_);
  calls_until_failure_ = nth;
  error_ = error;
  repeat_ = repeat;
  failing_kind_ = kind;
  has_failed_ = false;
}

void FakeMemory::StopFailing() {
  const std::lock_guard lock(mutex_);
  calls_until_failure_ = 0;
}

bool FakeMemory::HasFailed() const {
  const std::lock_guard lock(mutex_);
  return has_failed_;
}

void FakeMemory::BeforeNth(size_t nth, Kind kind, std::function<void()> action) {
  const std::lock_guard lock(mutex_);
  calls_until_action_ = nth;
  action_kind_ = kind;
  action_ = std::move(action);
}

std::vector<FakeMemory::Call> FakeMemory::log() const {
  const std::lock_guard lock(mutex_);
  return log_;
}

size_t FakeMemory::CountOf(Kind kind) const {
  const std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::ranges::count(log_, kind, &Call::kind));
}

void FakeMemory::ClearLog() {
  const std::lock_guard lock(mutex_);
  log_.clear();
}

size_t FakeMemory::mapped_bytes() const {
  const std::lock_guard lock(mutex_);
  size_t bytes = 0;
  for (const auto& [base, limit] : mapped_) bytes += limit - base;
  return bytes;
}

void FakeMemory::UnmapAll() {
  const std::lock_guard lock(mutex_);
  for (const auto& [base, limit] : mapped_) (void)kernel_.unmap(kernel_.context, base, limit - base);
  mapped_.clear();
}

// 0, or the error that this call has to give. The caller holds the mutex.
int FakeMemory::InjectedError(Kind kind) {
  RunAction(kind);
  if (calls_until_failure_ == 0) return 0;
  const bool is_meant = failing_kind_.has_value() ? kind == *failing_kind_ : kind != Kind::kQuery && kind != Kind::kName;
  if (!is_meant) return 0;
  if (calls_until_failure_ > 1) {
    --calls_until_failure_;
    return 0;
  }
  if (repeat_ == Repeat::kOnce) calls_until_failure_ = 0;
  has_failed_ = true;
  return error_;
}

void FakeMemory::RunAction(Kind kind) {
  if (calls_until_action_ == 0 || kind != action_kind_) return;
  if (--calls_until_action_ == 0) action_();
}

MapResult FakeMemory::MapAsTold(uintptr_t address, size_t bytes, Access access, Placement placement) {
  if (placement == Placement::kFixedNoReplace && takes_no_replace_for_hint_) placement = Placement::kHint;
  const bool is_refused = address != 0 && (address >= refused_from_ || bytes > refused_from_ - address);
  if (placement == Placement::kHint) {
    if (address != 0 && (ignores_hints_ || is_refused)) return MapElsewhere(address, bytes, access);
  } else if (is_refused) {
    return {0, ENOMEM};
  }
  return kernel_.map(kernel_.context, address, bytes, access, placement);
}

// The kernel's own choice may happen to be the very address: then it is occupied for the time of a second try.
MapResult FakeMemory::MapElsewhere(uintptr_t avoided, size_t bytes, Access access) {
  const MapResult first = kernel_.map(kernel_.context, 0, bytes, access, Placement::kHint);
  if (first.error != 0 || first.address != avoided) return first;
  const MapResult second = kernel_.map(kernel_.context, 0, bytes, access, Placement::kHint);
  (void)kernel_.unmap(kernel_.context, first.address, bytes);
  return second;
}

void FakeMemory::AddMapped(uintptr_t base, size_t bytes) {
  RemoveMapped(base, bytes);  // MAP_FIXED replaces.
  mapped_[base] = base + bytes;
}

void FakeMemory::RemoveMapped(uintptr_t base, size_t bytes) {
  const uintptr_t limit = base + bytes;
  auto range = mapped_.upper_bound(base);
  if (range != mapped_.begin()) --range;
  while (range != mapped_.end() && range->first < limit) {
    const auto [range_base, range_limit] = *range;
    if (range_limit <= base) {
      ++range;
      continue;
    }
    range = mapped_.erase(range);
    if (range_base < base) mapped_[range_base] = base;
    if (range_limit > limit) mapped_[limit] = range_limit;
  }
}

MapResult FakeMemory::Map(void* context, uintptr_t address, size_t bytes, Access access, Placement placement) {
  FakeMemory& self = Self(context);
  const RecordsMayAllocate records_may_allocate;
  const std::lock_guard lock(self.mutex_);
  MapResult result = {0, self.InjectedError(Kind::kMap)};
  if (result.error == 0) result = self.MapAsTold(address, bytes, access, placement);
  if (result.error == 0) self.AddMapped(result.address, bytes);
  self.log_.push_back({Kind::kMap, address, bytes, result.error, result.address, access, placement});
  return result;
}

int FakeMemory::Unmap(void* context, uintptr_t base, size_t bytes) {
  FakeMemory& self = Self(context);
  const RecordsMayAllocate records_may_allocate;
  const std::lock_guard lock(self.mutex_);
  int error = self.InjectedError(Kind::kUnmap);
  if (error == 0) error = self.kernel_.unmap(self.kernel_.context, base, bytes);
  if (error == 0) self.RemoveMapped(base, bytes);
  self.log_.push_back({Kind::kUnmap, base, bytes, error, 0});
  return error;
}

int FakeMemory::Protect(void* context, uintptr_t base, size_t bytes, Access access) {
  FakeMemory& self = Self(context);
  const RecordsMayAllocate records_may_allocate;
  const std::lock_guard lock(self.mutex_);
  int error = self.InjectedError(Kind::kProtect);
  if (error == 0) error = self.kernel_.protect(self.kernel_.context, base, bytes, access);
  self.log_.push_back({Kind::kProtect, base, bytes, error, 0, access});
  return error;
}

int FakeMemory::Advise(void* context, uintptr_t base, size_t bytes, Advice advice) {
  FakeMemory& self = Self(context);
  const RecordsMayAllocate records_may_allocate;
  const std::lock_guard lock(self.mutex_);
  int error = self.InjectedError(Kind::kAdvise);
  if (error == 0) error = self.kernel_.advise(self.kernel_.context, base, bytes, advice);
  self.log_.push_back({Kind::kAdvise, base, bytes, error, 0, Access::kNone, Placement::kHint, advice});
  return error;
}

int FakeMemory::Query(void* context, uintptr_t base) {
  FakeMemory& self = Self(context);
  const RecordsMayAllocate records_may_allocate;
  const std::lock_guard lock(self.mutex_);
  int error = self.InjectedError(Kind::kQuery);
  if (error == 0) error = self.kernel_.query(self.kernel_.context, base);
  self.log_.push_back({Kind::kQuery, base, OsPageBytes(), error, 0});
  return error;
}

MapResult FakeMemory::Remap(void* context, uintptr_t base, size_t old_bytes, size_t new_bytes, uintptr_t to) {
  FakeMemory& self = Self(context);
  const RecordsMayAllocate records_may_allocate;
  const std::lock_guard lock(self.mutex_);
  MapResult result = {0, self.InjectedError(Kind::kRemap)};
  if (result.error == 0 && self.loses_destination_ && to != 0) {
    (void)self.kernel_.unmap(self.kernel_.context, to, new_bytes);
    self.RemoveMapped(to, new_bytes);
    result.error = EFAULT;
  }
  if (result.error == 0) {
    result = self.kernel_.remap(self.kernel_.context, base, old_bytes, new_bytes, to);
    // A move leaves both ranges mapped. In place, only the tail changes.
    if (result.error == 0 && to == 0) {
      self.RemoveMapped(base, old_bytes);
      self.AddMapped(base, new_bytes);
    }
  }
  self.log_.push_back({Kind::kRemap, base, new_bytes, result.error, result.address});
  return result;
}

void FakeMemory::Name(void* context, uintptr_t base, size_t bytes, const char* name) {
  FakeMemory& self = Self(context);
  const RecordsMayAllocate records_may_allocate;
  const std::lock_guard lock(self.mutex_);
  const int error = self.InjectedError(Kind::kName);
  if (error == 0) self.kernel_.name(self.kernel_.context, base, bytes, name);
  self.log_.push_back({Kind::kName, base, bytes, error, 0});
}

}  // namespace acre::os
