#include "allocator/collect/marker.h"

#include <new>

#include "arch/cpu.h"
#include "os/check.h"

namespace acre {

namespace {

const arch::ScanBody& BodyFor(const MarkerOptions& options) {
  if (options.value_format.tag_mask != 0) return arch::kBoxedScanBody;
  if (options.scan_body != nullptr) return *options.scan_body;
  return arch::ChooseScanBody(arch::DetectCpuFeatures());
}

constexpr size_t kSerialObjectsOfRound = 64;

size_t MaxSegments(const MarkerOptions& options) { return options.max_stack_bytes / MarkSegment::kBytes; }

}  // namespace

Marker::Marker(os::AddressSpace& space, const ChunkTable& table, const KindTable& kinds, const MarkerOptions& options)
    : space_(space),
      context_{.table = table,
               .kinds = kinds,
               .options = options,
               .body = BodyFor(options),
               .source = {space, MaxSegments(options)},
               .pool = {},
               .filter = {}} {}

Marker::~Marker() {
  for (uint32_t number = 0; number < worker_count_; ++number) {
    CHECK(workers_[number]->is_dry());
    workers_[number]->Finish();
    space_.FreeMetadata(workers_[number], sizeof(MarkWorker));
  }
}

void Marker::TraceObjectAsRoots(Kind kind, uintptr_t object, size_t bytes) {
  struct Call {
    const KindTable& kinds;
    Kind kind;
    uintptr_t object;
    size_t bytes;
  } call{context_.kinds, kind, object, bytes};
  TraceRoots(
      [](void* argument, Tracer* tracer) {
        const auto& [kinds, its_kind, base, size] = *static_cast<const Call*>(argument);
        if (kinds.Trace(its_kind, base, size, *tracer)) return;
        acre_visit_range(tracer, reinterpret_cast<const void*>(base), reinterpret_cast<const void*>(base + size));
      },
      &call);
}

Status Marker::Prepare(uint32_t workers) {
  CHECK(workers <= kMaxMarkers);
  for (; worker_count_ < workers; ++worker_count_) {
    void* memory = space_.AllocateMetadata(sizeof(MarkWorker), "acre: marker");
    if (memory == nullptr) return Status::kOutOfMemory;
    workers_[worker_count_] = new (memory) MarkWorker(context_);
  }
  return Status::kOk;
}

void Marker::Begin() {
  CHECK(worker_count_ > 0);
  root_bytes_ = 0;
  FindRange();
}

void Marker::NoteNewChunks() {
  const arch::ScanFilter& filter = context_.filter;
  const ChunkTable& table = context_.table;
  if (filter.low > table.base() || filter.low + filter.bytes < table.limit()) FindRange();
}

void Marker::FindRange() {
  // Once: chunks may come meanwhile.
  const uintptr_t base = context_.table.base();
  const uintptr_t limit = context_.table.limit();
  const bool has_end_pointers = context_.options.end_pointers == EndPointers::kCount;
  const ValueFormat& format = context_.options.value_format;
  context_.filter = {.low = base,
                     .bytes = limit - base + (has_end_pointers ? 1 : 0),
                     .tag_mask = format.tag_mask,
                     .tag = format.tag,
                     .tag_xor = format.tag_xor,
                     .tag_and = format.tag_and};
  context_.has_only_pages = !has_end_pointers && context_.table.HasOnlyPages(base, limit);
}

// No chunk of pages has gone since Begin, as far as it matters.
bool Marker::KeepsPages() const {
  const arch::ScanFilter& filter = context_.filter;
  return !context_.has_only_pages || context_.table.HasOnlyPages(filter.low, filter.low + filter.bytes);
}

void Marker::Drain() {
  while (!DrainSome(SIZE_MAX)) {
  }
}

void Marker::BeginWatch(const MarkWatch& watch) {
  context_.watch = watch;
  workers_[0]->set_markers(Markers::kOneWatched);
}

void Marker::EndWatch() {
  context_.watch = {};
  workers_[0]->set_markers(Markers::kOne);
}

bool Marker::DrainSome(size_t rounds) {
  return context_.watch.marked == nullptr ? DrainSomeAs<Markers::kOne>(rounds) : DrainSomeAs<Markers::kOneWatched>(rounds);
}

bool Marker::DrainWithBudget(size_t rounds) {
  context_.max_serial_objects = kSerialObjectsOfRound;
  const bool is_dry = DrainSome(rounds);
  context_.max_serial_objects = INT64_MAX;
  return is_dry;
}

template <Markers kMarkers>
bool Marker::DrainSomeAs(size_t rounds) {
  ASSERT(KeepsPages());
  if (!workers_[0]->Drain<kMarkers>(rounds)) return false;
  if (is_beside_ || !context_.has_pending.exchange(false, std::memory_order_relaxed)) return true;
  workers_[0]->DrainPending<kMarkers>();
  return false;
}

void Marker::BeginParallel(uint32_t participants) {
  CHECK(participants > 0);
  CHECK(participants <= worker_count_);
  context_.pool.Begin(participants);
}

void Marker::Work(uint32_t number) { workers_[number]->DrainWithOthers(number); }

void Marker::Finish() {
  ASSERT(KeepsPages());
  for (uint32_t number = 0; number < worker_count_; ++number) {
    CHECK(workers_[number]->is_dry());
    workers_[number]->Finish();
  }
}

void Marker::ReleaseMemory() { context_.source.ReleaseFree(); }

size_t Marker::scanned_objects() const {
  size_t objects = 0;
  for (uint32_t number = 0; number < worker_count_; ++number) objects += workers_[number]->scanned_objects();
  return objects;
}

}  // namespace acre
