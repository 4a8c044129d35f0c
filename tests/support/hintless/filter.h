#pragma once

// The seccomp filter that stops a process only at the calls `hintless` has to look at.

#include <linux/filter.h>

#include <vector>

#include "tests/support/hintless/options.h"

namespace acre::hintless {

// Calls of interest answer SECCOMP_RET_TRACE, all others run at full speed.
std::vector<sock_filter> BuildFilter(const Options& options);

// Installs it in the calling process, for itself and all that it forks and executes. Returns 0 or an error number.
int InstallFilter(std::vector<sock_filter>& filter);

}  // namespace acre::hintless
