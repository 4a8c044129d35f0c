#include "os/foreign_locks.h"

#include <cstdint>

#include "os/check.h"

namespace acre::os {
namespace {

// How often it is forbidden. The initial-exec model: the dynamic one may call malloc, which asks.
constinit thread_local uint32_t forbidden [[gnu::tls_model("initial-exec")]] = 0;

}  // namespace

void ForbidForeignLocks() { ++forbidden; }

void AllowForeignLocks() {
  ASSERT(forbidden != 0);
  --forbidden;
}

bool AreForeignLocksForbidden() { return forbidden != 0; }

}  // namespace acre::os
