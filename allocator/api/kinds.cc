#include "allocator/api/heap.h"
#include "os/check.h"
#include "os/mutex.h"

namespace {

acre_status StatusOf(acre::Status status) { return status == acre::Status::kOk ? ACRE_OK : ACRE_TOO_MANY; }

#if ACRE_ASSERTS
// The function has to accept an object that nobody has written to.
void TryOnZeros(acre_trace_function* function, void* context) {
  alignas(16) static constexpr uint64_t kZeros[64] = {};
  uint64_t candidates[64 + 32];
  acre_tracer tracer;
  tracer.next_candidate = candidates;
  tracer.candidate_limit = candidates + 64;
  tracer.flush_candidates = [](acre_tracer* full) { full->next_candidate = full->candidate_limit - 64; };
  function(context, const_cast<uint64_t*>(kZeros), sizeof(kZeros), &tracer);
}
#endif

}  // namespace

extern "C" {

acre_status acre_kind_bitmap(acre_heap* heap, const uint64_t* bitmap, size_t words, acre_kind* kind) {
  if (bitmap == nullptr || words == 0 || words > acre::kMaxBitmapWords) return ACRE_BAD_ARGUMENT;
  acre::os::MutexLock lock(heap->collector.kinds_mutex());
  return StatusOf(heap->collector.kinds().AddBitmap(bitmap, static_cast<uint32_t>(words), kind));
}

acre_status acre_kind_traced(acre_heap* heap, acre_trace_function* function, void* context, acre_kind* kind) {
  if (function == nullptr) return ACRE_BAD_ARGUMENT;
#if ACRE_ASSERTS
  TryOnZeros(function, context);
#endif
  acre::os::MutexLock lock(heap->collector.kinds_mutex());
  return StatusOf(heap->collector.kinds().AddFunction(function, context, kind));
}

}  // extern "C"
