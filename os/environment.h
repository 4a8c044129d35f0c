#pragma once

// The environment, read without allocating and before the C library is initialised.

namespace acre::os {

// The value, or null. Null as well while the C library has no environment yet.
const char* EnvironmentValue(const char* name);

// Whether the C library has set up the environment (not yet so for the very first allocations of a process).
bool HasEnvironment();

// Calls visit(context, entry) for each entry "NAME=value" whose name begins with the prefix.
void ForEachEnvironment(const char* prefix, void* context, void (*visit)(void* context, const char* entry));

// Whether the process runs with raised privileges (setuid): then options of the environment are not followed.
bool IsSecureExecution();

}  // namespace acre::os
