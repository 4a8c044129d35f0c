#pragma once

// Which malloc this process runs on. Tests written for the standard's rules run on any; those of Acre's own promises
// run on Acre only, and the suite fails if Acre was meant to be preloaded and is not.

#include <string>

namespace acre::testing {

// The file that `malloc` of this process comes from.
std::string MallocFile();

// True if malloc is Acre's, preloaded or linked in.
bool RunsOnAcre();

// Fails with a message, by returning false, if COMPAT_EXPECT_MALLOC names a file and malloc comes from another. Prints
// where malloc comes from.
bool MallocIsAsExpected();

}  // namespace acre::testing
