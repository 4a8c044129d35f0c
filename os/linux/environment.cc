// Reads `environ` directly: getenv is a function that other preloaded libraries replace, and it may not work yet. The
// array is read without a lock, as getenv reads it: a program must not change it in another thread meanwhile. The heap
// reads it once, at its start.

#include "os/environment.h"

#include <errno.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>

namespace acre::os {

const char* EnvironmentValue(const char* name) {
  if (!HasEnvironment()) return nullptr;
  const size_t name_bytes = std::strlen(name);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, name, name_bytes) != 0) continue;
    if ((*entry)[name_bytes] == '=') return *entry + name_bytes + 1;
  }
  return nullptr;
}

bool HasEnvironment() { return environ != nullptr; }

void ForEachEnvironment(const char* prefix, void* context, void (*visit)(void* context, const char* entry)) {
  if (!HasEnvironment()) return;
  const size_t prefix_bytes = std::strlen(prefix);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (std::strncmp(*entry, prefix, prefix_bytes) == 0) visit(context, *entry);
  }
}

bool IsSecureExecution() {
  const int callers_errno = errno;
  const bool is_secure = getauxval(AT_SECURE) != 0;
  errno = callers_errno;
  return is_secure;
}

}  // namespace acre::os
