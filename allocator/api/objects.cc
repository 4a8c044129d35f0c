#include "allocator/api/heap.h"

namespace {

acre_object Public(const acre::FoundObject& found) {
  return {reinterpret_cast<void*>(found.base), found.bytes, found.kind};
}

}  // namespace

extern "C" {

void acre_free(acre_mutator* mutator, void* object) {
  acre::CheckUse(mutator, "acre_free");
  mutator->heap->collector.Free(*mutator, object);
}

bool acre_object_at(acre_mutator* mutator, const void* address, acre_object* object) {
  acre::CheckUse(mutator, "acre_object_at");
  acre::FoundObject found;
  if (!mutator->heap->collector.FindObject(*mutator, reinterpret_cast<uintptr_t>(address), &found)) return false;
  *object = Public(found);
  return true;
}

void acre_walk(acre_mutator* mutator, acre_visit_object* visit, void* context) {
  acre::CheckUse(mutator, "acre_walk");
  struct Call {
    acre_visit_object* visit;
    void* context;
  } call{visit, context};
  acre::Collector& collector = mutator->heap->collector;
  collector.Collect(*mutator);
  collector.ForEachObject(
      *mutator,
      [](void* data, const acre::FoundObject& found) {
        const auto& [function, argument] = *static_cast<Call*>(data);
        const acre_object object = Public(found);
        function(argument, &object);
      },
      &call);
}

}  // extern "C"
