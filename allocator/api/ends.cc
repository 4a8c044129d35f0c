#include <new>

#include "allocator/api/heap.h"

namespace {

acre::Ends& EndsOf(acre_mutator* mutator) { return mutator->heap->collector.ends(); }

acre_weak* Public(acre::WeakCell* cell) { return reinterpret_cast<acre_weak*>(cell); }
acre::WeakCell* Private(acre_weak* weak) { return reinterpret_cast<acre::WeakCell*>(weak); }
const acre::WeakCell* Private(const acre_weak* weak) { return reinterpret_cast<const acre::WeakCell*>(weak); }

acre_ephemeron* Public(acre::Ephemeron* ephemeron) { return reinterpret_cast<acre_ephemeron*>(ephemeron); }
acre::Ephemeron* Private(acre_ephemeron* ephemeron) { return reinterpret_cast<acre::Ephemeron*>(ephemeron); }
const acre::Ephemeron* Private(const acre_ephemeron* ephemeron) {
  return reinterpret_cast<const acre::Ephemeron*>(ephemeron);
}

acre_weak_table* Public(acre::WeakKeyTable* table) { return reinterpret_cast<acre_weak_table*>(table); }
acre::WeakKeyTable* Private(acre_weak_table* table) { return reinterpret_cast<acre::WeakKeyTable*>(table); }

// What get() gives out is not in the snapshot of a cycle that marks, perhaps: it is shaded before a stop can end the cycle.
template <class Get>
void* Shaded(acre_mutator* mutator, Get get) {
  acre::Region region(*mutator);
  void* object = get();
  mutator->heap->collector.Shade(*mutator, reinterpret_cast<uintptr_t>(object));
  return object;
}

}  // namespace

extern "C" {

acre_weak* acre_weak_create(acre_mutator* mutator, void* object) {
  acre::CheckUse(mutator, "acre_weak_create");
  return Public(EndsOf(mutator).weak_cells().Create(object));
}

void* acre_weak_get(acre_mutator* mutator, const acre_weak* weak) {
  acre::CheckUse(mutator, "acre_weak_get");
  return Shaded(mutator, [weak] { return acre::WeakCells::Get(*Private(weak)); });
}

void acre_weak_destroy(acre_mutator* mutator, acre_weak* weak) {
  acre::CheckUse(mutator, "acre_weak_destroy");
  EndsOf(mutator).weak_cells().Destroy(Private(weak));
}

acre_ephemeron* acre_ephemeron_create(acre_mutator* mutator, void* key, void* value) {
  acre::CheckUse(mutator, "acre_ephemeron_create");
  return Public(EndsOf(mutator).ephemerons().Create(key, value));
}

void* acre_ephemeron_key(acre_mutator* mutator, const acre_ephemeron* ephemeron) {
  acre::CheckUse(mutator, "acre_ephemeron_key");
  return Shaded(mutator, [ephemeron] { return acre::Ephemerons::Key(*Private(ephemeron)); });
}

void* acre_ephemeron_value(acre_mutator* mutator, const acre_ephemeron* ephemeron) {
  acre::CheckUse(mutator, "acre_ephemeron_value");
  return Shaded(mutator, [ephemeron] { return acre::Ephemerons::Value(*Private(ephemeron)); });
}

void acre_ephemeron_set_value(acre_mutator* mutator, acre_ephemeron* ephemeron, void* value) {
  acre::CheckUse(mutator, "acre_ephemeron_set_value");
  acre::Ephemerons::SetValue(*Private(ephemeron), value);
}

void acre_ephemeron_destroy(acre_mutator* mutator, acre_ephemeron* ephemeron) {
  acre::CheckUse(mutator, "acre_ephemeron_destroy");
  EndsOf(mutator).ephemerons().Destroy(Private(ephemeron));
}

acre_weak_table* acre_weak_table_create(acre_mutator* mutator) {
  acre::CheckUse(mutator, "acre_weak_table_create");
  void* memory;
  {
    acre::Region region(*mutator);  // Metadata has a lock.
    memory = mutator->heap->spans.metadata().Allocate(sizeof(acre::WeakKeyTable));
  }
  return memory == nullptr ? nullptr : Public(new (memory) acre::WeakKeyTable(EndsOf(mutator).ephemerons()));
}

void acre_weak_table_destroy(acre_mutator* mutator, acre_weak_table* table) {
  acre::CheckUse(mutator, "acre_weak_table_destroy");
  Private(table)->~WeakKeyTable();
  acre::Region region(*mutator);
  mutator->heap->spans.metadata().Free(table, sizeof(acre::WeakKeyTable));
}

bool acre_weak_table_put(acre_mutator* mutator, acre_weak_table* table, void* key, void* value) {
  acre::CheckUse(mutator, "acre_weak_table_put");
  return Private(table)->Put(key, value);
}

void* acre_weak_table_get(acre_mutator* mutator, acre_weak_table* table, const void* key) {
  acre::CheckUse(mutator, "acre_weak_table_get");
  // No stop comes while the lock is held.
  acre::BlockingLock lock(EndsOf(mutator).mutex());
  void* value;
  if (!Private(table)->GetLocked(key, &value)) return nullptr;
  mutator->heap->collector.Shade(*mutator, reinterpret_cast<uintptr_t>(value));
  return value;
}

bool acre_weak_table_remove(acre_mutator* mutator, acre_weak_table* table, const void* key) {
  acre::CheckUse(mutator, "acre_weak_table_remove");
  return Private(table)->Remove(key);
}

size_t acre_weak_table_count(acre_mutator* mutator, acre_weak_table* table) {
  acre::CheckUse(mutator, "acre_weak_table_count");
  return Private(table)->Count();
}

bool acre_finalizer_set(acre_mutator* mutator, void* object, acre_finalizer* function, void* context) {
  acre::CheckUse(mutator, "acre_finalizer_set");
  acre::Finalizers& finalizers = EndsOf(mutator).finalizers();
  if (function != nullptr) return finalizers.Set(object, function, context);
  finalizers.Remove(object);
  return true;
}

size_t acre_run_finalizers(acre_mutator* mutator, size_t most) {
  acre::CheckUse(mutator, "acre_run_finalizers");
  return EndsOf(mutator).finalizers().Run(most);
}

acre_cleanup acre_cleanup_add(acre_mutator* mutator, void* object, acre_cleanup_function* function, void* context) {
  acre::CheckUse(mutator, "acre_cleanup_add");
  const acre::CleanupHandle handle = EndsOf(mutator).cleanups().Add(object, function, context);
  return {handle.record, handle.number};
}

bool acre_cleanup_remove(acre_mutator* mutator, acre_cleanup cleanup) {
  acre::CheckUse(mutator, "acre_cleanup_remove");
  return EndsOf(mutator).cleanups().Remove({static_cast<acre::Cleanup*>(cleanup.record), cleanup.number});
}

size_t acre_run_cleanups(acre_mutator* mutator, size_t most) {
  acre::CheckUse(mutator, "acre_run_cleanups");
  return EndsOf(mutator).cleanups().Run(most);
}

}  // extern "C"
