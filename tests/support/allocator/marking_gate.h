#pragma once

// Holds up concurrent cycles: objects of its kind have a trace function that waits until the test opens the gate. What
// hangs behind such an object is white until then.

#include <gtest/gtest.h>

#include <atomic>

#include "allocator/collect/collector.h"

namespace acre::testing {

// One for a heap; not on a stack that is scanned. Open in the beginning.
class MarkingGate {
 public:
  explicit MarkingGate(Collector& collector) : collector_(collector) {
    EXPECT_EQ(collector.kinds().AddFunction(&MarkingGate::Trace, this, &kind_), Status::kOk);
  }
  MarkingGate(const MarkingGate&) = delete;
  MarkingGate& operator=(const MarkingGate&) = delete;

  // Every word of an object is a pointer. They are read when the gate is open.
  Kind kind() const { return kind_; }

  void Close() {
    is_reached_ = false;
    is_open_ = false;
  }
  void Open() {
    is_open_ = true;
    is_open_.notify_all();
  }
  // Until the marker stands before it.
  void AwaitMarker() const { is_reached_.wait(false); }

 private:
  static bool Trace(void* context, void* object, size_t bytes, acre_tracer* tracer) {
    auto& gate = *static_cast<MarkingGate*>(context);
    if (gate.collector_.is_marking_beside()) {  // No mutator would open it in a stop.
      gate.is_reached_ = true;
      gate.is_reached_.notify_all();
      gate.is_open_.wait(false);
    }
    const auto* words = static_cast<const uint64_t*>(object);
    for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i) tracer->Visit(__atomic_load_n(&words[i], __ATOMIC_RELAXED));
    return true;
  }

  Collector& collector_;
  Kind kind_ = 0;
  std::atomic<bool> is_open_{true};
  std::atomic<bool> is_reached_{false};
};

}  // namespace acre::testing
