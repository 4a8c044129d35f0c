#pragma once

// What a trace function is given: it names the object's pointers by Visit, which stores them for the marker without a
// branch on what they are. Inline, so that a trace function costs one call an object and not one a field. The type and
// its layout are those of the public interface.

#include <cstddef>
#include <cstdint>

#include "acre/internal/records.h"

struct acre_tracer : acre_tracer_front {
  acre_tracer() : acre_tracer_front() {}

  // Any word: what points into no object is ignored.
  void Visit(uintptr_t word) { acre_visit_word(this, word); }
  void Visit(const void* pointer) { acre_visit(this, pointer); }
};

namespace acre {

using Tracer = ::acre_tracer;

}  // namespace acre
