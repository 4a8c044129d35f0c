#pragma once

// Which upstream Linux is running. Everything but ReadRunningKernel is a pure function over text, so that tests can
// give it the strings of other machines.
//
// uname's release ("5.3.0-24-generic") begins with a version, but a distribution that names its packages by a series
// keeps the last number at 0 while it takes over upstream's corrections. Two of them tell the upstream version
// elsewhere: Ubuntu in /proc/version_signature, Debian in uname's version. All others are taken at their word: a kernel
// with corrections that its name does not tell then counts as affected by a bug it no longer has, which costs a few
// locked pages.

#include <cstdint>

#include "os/linux/text.h"

namespace acre::os {

struct KernelRelease {
  uint32_t major = 0;  // All three are 0 where the text is not understood.
  uint32_t minor = 0;
  uint32_t patch = 0;

  bool operator==(const KernelRelease&) const = default;
};

struct RunningKernel {
  KernelRelease release;
  bool is_x86 = false;
};

// "5.3.0-24-generic", "5.4.0-rc3+", "6.1.21.2-microsoft-standard-WSL2", "5.2": two or three numbers at the beginning,
// whatever follows.
KernelRelease ParseKernelRelease(Text release);

// Ubuntu's "Ubuntu 5.3.0-24.26-generic 5.3.10": the last word.
KernelRelease ParseVersionSignature(Text signature);

// uname's version: Debian's "#1 SMP Debian 5.4.19-1 (2020-02-13)", the word after the distribution's name.
KernelRelease ParseDebianVersion(Text version);

// What the two files and uname's strings come to. `signature` is empty where there is no such file.
RunningKernel KernelOf(Text release, Text version, Text machine, Text signature);

// Makes system calls each time; does not allocate.
RunningKernel ReadRunningKernel();

}  // namespace acre::os
