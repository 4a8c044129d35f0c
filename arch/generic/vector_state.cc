#include "arch/vector_state.h"

namespace acre::arch {

size_t SavedVectorStateBytes() { return 0; }

}  // namespace acre::arch
