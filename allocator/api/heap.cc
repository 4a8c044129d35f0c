#include "allocator/api/heap.h"

#include <cstddef>
#include <new>

#include "allocator/api/heap_memory.h"
#include "allocator/collect/pacer.h"
#include "arch/memory.h"
#include "os/check.h"
#include "os/crash_notes.h"
#include "os/debug_options.h"

namespace acre {
namespace {

// The layout that acre/internal/inline.h relies on.
static_assert(sizeof(acre_run) == sizeof(Run) && sizeof(Run) == ACRE_RUN_BYTES);
static_assert(offsetof(Run, cursor) == ACRE_RUN_CURSOR_OFFSET && offsetof(Run, limit) == ACRE_RUN_LIMIT_OFFSET);
static_assert(offsetof(acre_mutator_front, rows) == offsetof(MutatorFront, rows));
static_assert(offsetof(acre_mutator_front, in_region) == offsetof(MutatorFront, in_region));
static_assert(offsetof(acre_mutator_front, barrier) == offsetof(MutatorFront, barrier));
static_assert(offsetof(acre_mutator_front, requested) == offsetof(MutatorFront, requested));
static_assert(offsetof(acre_mutator_front, acknowledged) == offsetof(MutatorFront, acknowledged));
static_assert(offsetof(acre_mutator_front, locals) == offsetof(MutatorFront, locals));
static_assert(sizeof(LocalRoot) == sizeof(acre_local) && offsetof(LocalRoot, object) == offsetof(acre_local, object));
static_assert(ACRE_MAX_KINDS == kMaxKinds && ACRE_SIZE_CLASSES == kSizeClassCount);
static_assert(ACRE_MAX_SMALL_BYTES == kMaxSmallBytes);
static_assert(ACRE_CONSERVATIVE == kConservative && ACRE_POINTER_FREE == kPlain);

// The embedder's callbacks take a mutator of the public type.
template <acre_memory_callback* acre_options::* kCallback>
OnShortage CallBack(void* context, CollectedMutator& mutator, size_t bytes) {
  const acre_options& options = static_cast<acre_heap*>(context)->options;
  auto* callback = options.*kCallback;
  return callback(options.callback_context, static_cast<acre_mutator*>(&mutator), bytes) ? OnShortage::kRetry
                                                                                        : OnShortage::kGiveUp;
}

void TellOfLimit(void* context, CollectedMutator& mutator, size_t live_bytes) {
  const acre_options& options = static_cast<acre_heap*>(context)->options;
  options.on_memory_limit(options.callback_context, static_cast<acre_mutator*>(&mutator), live_bytes);
}

CollectorOptions ForCollector(const acre_options& options, acre_heap* heap) {
  CollectorOptions result;
  static_assert(static_cast<int>(Tracker::kStopped) == ACRE_TRACKER_STOPPED);
  static_assert(static_cast<int>(Tracker::kBarrier) == ACRE_TRACKER_BARRIER);
  static_assert(static_cast<int>(Tracker::kPages) == ACRE_TRACKER_PAGES);
  result.tracker = static_cast<Tracker>(options.tracker);
  result.minor_collections = options.minor_collections;
  result.gc_percent = options.gc_percent;
  result.min_trigger_bytes = options.min_trigger_bytes;
  result.stop_signal = options.stop_signal;
  result.pause_target_us = options.pause_target_us;
  result.mark_workers = options.mark_workers;
  result.background = options.background;
  result.hard_limit_bytes = options.hard_limit_bytes;
  result.reserve_bytes = options.reserve_bytes;
  if (options.on_hard_limit != nullptr) result.on_hard_limit = {CallBack<&acre_options::on_hard_limit>, heap};
  if (options.on_out_of_memory != nullptr) result.on_out_of_memory = {CallBack<&acre_options::on_out_of_memory>, heap};
  result.memory_limit_bytes = MemoryLimitFor(options.memory_limit_bytes);
  if (options.on_memory_limit != nullptr) result.on_memory_limit = {TellOfLimit, heap};
  result.debug = os::ReadDebugOptions();
  result.end_pointers = options.end_pointers ? EndPointers::kCount : EndPointers::kIgnored;
  result.value_format = {.tag_mask = options.value_format.tag_mask,
                         .tag = options.value_format.tag,
                         .tag_xor = options.value_format.xor_mask,
                         .tag_and = options.value_format.and_mask};
  return result;
}

bool IsMemoryLimit(size_t bytes) { return bytes == 0 || bytes >= kLeastMemoryLimit; }

bool IsValid(const acre_options& options) {
  return options.struct_bytes == sizeof(acre_options) && options.gc_percent > 0 &&
         options.gc_percent <= kMaxGcPercent && options.pause_target_us >= kMinPauseTargetUs &&
         options.pause_target_us <= kMaxPauseTargetUs && options.stop_signal >= 0 &&
         options.tracker >= ACRE_TRACKER_STOPPED && options.tracker <= ACRE_TRACKER_PAGES &&
         IsMemoryLimit(options.memory_limit_bytes) && (options.value_format.tag & ~options.value_format.tag_mask) == 0;
}

consteval acre_small_class_table MakeSmallClasses() {
  acre_small_class_table table{};
  for (size_t i = 0; i <= ACRE_MAX_SMALL_BYTES / 16; ++i) {
    const SizeClass size_class = ClassForSize(16 * i);
    table.classes[i] = {kSizeClasses[size_class].slot_bytes, uint32_t{size_class} * uint32_t{ACRE_RUN_BYTES}};
  }
  return table;
}

}  // namespace
}  // namespace acre

acre_heap::acre_heap(acre::ChunkTable& table, const acre_options& chosen)
    : options(chosen),
      spans(acre::os::KernelMemoryCalls(), acre::os::AddressSpaceLimitBytes(), table),
      collector(spans, acre::ForCollector(chosen, this)) {
  CHECK(collector.kinds().AddFunction(acre::TraceStack, this, &stack_kind) == acre::Status::kOk);
}

extern "C" {

const char* acre_status_text(acre_status status) {
  switch (status) {
    case ACRE_OK: return "no error";
    case ACRE_OUT_OF_MEMORY: return "there is no memory, address space or mapping left";
    case ACRE_BAD_ARGUMENT: return "a value is not one that the function takes";
    case ACRE_UNKNOWN_OPTION: return "there is no option of this name";
    case ACRE_TOO_MANY: return "the heap has as many kinds as it can have";
    case ACRE_ALREADY_ATTACHED: return "the thread has a mutator on this heap already";
    case ACRE_NO_SIGNAL: return "the stop signal cannot be installed";
  }
  return "not a status";
}

acre_status acre_heap_create(const acre_options* options, acre_heap** heap) {
  acre_options chosen;
  acre_options_init(&chosen);
  if (options != nullptr) chosen = *options;
  if (!acre::IsValid(chosen)) return ACRE_BAD_ARGUMENT;
  acre::os::InstallCrashNotes();
  auto* made = acre::MakeWithChunkTable<acre_heap>(chosen);
  if (made == nullptr) return ACRE_OUT_OF_MEMORY;
  if (!made->collector.Prepare()) {
    acre::DestroyWithChunkTable(made);
    return ACRE_OUT_OF_MEMORY;
  }
  made->collector.ends().SetNotifier(chosen.on_ends_pending, chosen.callback_context);
  *heap = made;
  return ACRE_OK;
}

acre_status acre_heap_set_memory_limit(acre_heap* heap, size_t bytes) {
  if (!acre::IsMemoryLimit(bytes)) return ACRE_BAD_ARGUMENT;
  heap->collector.SetMemoryLimit(acre::MemoryLimitFor(bytes));
  return ACRE_OK;
}

void acre_heap_destroy(acre_heap* heap) {
  if (heap == nullptr) return;
  if (heap->collector.has_mutators()) acre::os::Fatal("acre_heap_destroy: a thread is still attached to the heap");
  acre::DestroyWithChunkTable(heap);
}

acre_status acre_attach(acre_heap* heap, acre_mutator** mutator) {
  if (heap->collector.OfThisThread() != nullptr) return ACRE_ALREADY_ATTACHED;
  void* memory = heap->spans.metadata().Allocate(sizeof(acre_mutator));
  if (memory == nullptr) return ACRE_OUT_OF_MEMORY;
  auto* made = new (memory) acre_mutator(*heap);
  if (!heap->collector.Attach(*made)) {
    heap->spans.metadata().Free(memory, sizeof(acre_mutator));
    return ACRE_NO_SIGNAL;
  }
  *mutator = made;
  return ACRE_OK;
}

void acre_detach(acre_mutator* mutator) {
  acre::CheckUse(mutator, "acre_detach");
  acre_heap* heap = mutator->heap;
  heap->collector.Detach(*mutator);
  mutator->~acre_mutator();
  heap->spans.metadata().Free(mutator, sizeof(acre_mutator));
}

acre_mutator* acre_mutator_of_thread(acre_heap* heap) {
  return static_cast<acre_mutator*>(heap->collector.OfThisThread());
}

acre_heap* acre_heap_of(acre_mutator* mutator) { return mutator->heap; }

void acre_safepoint_slow(acre_mutator* mutator) {
  acre::CheckUse(mutator, "acre_safepoint");
  acre::World::Safepoint(*mutator);
}

void acre_blocking_begin(acre_mutator* mutator) {
  acre::CheckUse(mutator, "acre_blocking_begin");
  acre::World::BeginBlocking(*mutator);
}

void acre_blocking_end(acre_mutator* mutator) {
  const uint32_t state = mutator->state.load(std::memory_order_relaxed);
  if (state == acre::Standing::kRunning || mutator->owner.load(std::memory_order_relaxed) == 0) {
    acre::os::Fatal("acre_blocking_end: no acre_blocking_begin came before");
  }
  acre::World::EndBlocking(*mutator);
}

void acre_park(acre_mutator* mutator) {
  acre::CheckUse(mutator, "acre_park");
  if (mutator->running_object != nullptr) acre::os::Fatal("acre_park: the thread is not on its own stack");
  acre::World::Park(*mutator);
}

acre_status acre_unpark(acre_mutator* mutator) {
  if (mutator->owner.load(std::memory_order_relaxed) != 0) acre::os::Fatal("acre_unpark: the mutator is not parked");
  acre::World::Unpark(*mutator);
  return ACRE_OK;
}

void* acre_allocate_slow(acre_mutator* mutator, acre_kind kind, size_t bytes) {
  acre::CheckUse(mutator, "acre_allocate");
  return mutator->heap->collector.Allocate(*mutator, kind, bytes);
}

void acre_adjust_external(acre_heap* heap, ptrdiff_t delta) {
  const bool is_right = heap->collector.AdjustExternal(delta);
#if ACRE_ASSERTS
  if (!is_right && delta < 0) {
    acre::os::Fatal("acre_adjust_external: ", delta, " bytes: more is taken back than there was");
  }
  if (!is_right) acre::os::Fatal("acre_adjust_external: ", delta, " bytes: more than there are addresses");
#else
  (void)is_right;
#endif
}

void acre_collect(acre_mutator* mutator) {
  acre::CheckUse(mutator, "acre_collect");
  mutator->heap->collector.Collect(*mutator);
}

// In the region of the store that follows.
void acre_write_slow(acre_mutator* mutator, void* field, uint64_t) {
  acre::CheckUse(mutator, "acre_write");
  mutator->heap->collector.ShadeOverwritten(*mutator, static_cast<const uint64_t*>(field), 1);
}

// The barrier that there is needs nothing: what an object holds that was made since marking began is found without it.
void acre_publish_slow(acre_mutator* mutator, void*) { acre::CheckUse(mutator, "acre_publish"); }

// In pieces, so that nobody waits long for the end of a region.
void acre_move(acre_mutator* mutator, void* to, const void* from, size_t bytes) {
  acre::CheckUse(mutator, "acre_move");
  constexpr size_t kPieceBytes = 16 * acre::kKiB;
  auto* const target = static_cast<char*>(to);
  const auto* const source = static_cast<const char*>(from);
  const bool goes_up = target <= source;  // Or else the last piece comes first.
  for (size_t done = 0; done < bytes;) {
    const size_t piece = bytes - done < kPieceBytes ? bytes - done : kPieceBytes;
    const size_t offset = goes_up ? done : bytes - done - piece;
    acre::Region region(*mutator);
    if (mutator->barrier.load(std::memory_order_relaxed) != 0) {
      mutator->heap->collector.ShadeOverwritten(*mutator, reinterpret_cast<const uint64_t*>(target + offset),
                                                piece / sizeof(uint64_t));
    }
    acre::arch::Move(target + offset, source + offset, piece);
    done += piece;
  }
}

constinit const acre_small_class_table acre_small_classes = acre::MakeSmallClasses();

uint32_t acre_size_class(size_t bytes) {
  CHECK(bytes <= ACRE_MAX_SMALL_BYTES);
  return acre::ClassForSize(bytes);
}

size_t acre_slot_bytes(uint32_t size_class) {
  CHECK(size_class < ACRE_SIZE_CLASSES);
  return acre::kSizeClasses[size_class].slot_bytes;
}

}  // extern "C"
