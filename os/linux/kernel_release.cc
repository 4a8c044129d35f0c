#include "os/linux/kernel_release.h"

#include <sys/utsname.h>

#include <limits>

#include "os/linux/system_call.h"

namespace acre::os {
namespace {

constexpr KernelRelease kNotUnderstood = {};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Takes the digits at the beginning of *rest as a number. False if there are none, or too many to fit.
bool TakeNumber(Text* rest, uint32_t* number) {
  size_t digits = 0;
  while (digits < rest->size() && IsDigit((*rest)[digits])) ++digits;
  uint64_t value;
  if (!ParseNumber(rest->first(digits), &value)) return false;
  if (value > std::numeric_limits<uint32_t>::max()) return false;
  *number = static_cast<uint32_t>(value);
  *rest = rest->subspan(digits);
  return true;
}

bool TakeDot(Text* rest) {
  if (rest->empty() || rest->front() != '.') return false;
  *rest = rest->subspan(1);
  return true;
}

// The kernel's strings have no spaces at their ends, but files may.
Text LastWord(Text text) {
  Text last;
  while (!text.empty()) {
    const Text word = CutUntil(' ', &text);
    if (!word.empty()) last = word;
  }
  return last;
}

bool IsUnderstood(const KernelRelease& release) { return release != kNotUnderstood; }

}  // namespace

KernelRelease ParseKernelRelease(Text release) {
  KernelRelease parsed;
  if (!TakeNumber(&release, &parsed.major)) return kNotUnderstood;
  if (!TakeDot(&release)) return kNotUnderstood;
  if (!TakeNumber(&release, &parsed.minor)) return kNotUnderstood;
  // "5.2-rc1" and "5.2" have no third number; a third one that is none ("5.2.x") is not trusted to be 0.
  if (TakeDot(&release) && !TakeNumber(&release, &parsed.patch)) return kNotUnderstood;
  return parsed;
}

KernelRelease ParseVersionSignature(Text signature) { return ParseKernelRelease(LastWord(signature)); }

KernelRelease ParseDebianVersion(Text version) {
  while (!version.empty()) {
    if (TextEquals(CutUntil(' ', &version), "Debian")) return ParseKernelRelease(CutUntil(' ', &version));
  }
  return kNotUnderstood;
}

RunningKernel KernelOf(Text release, Text version, Text machine, Text signature) {
  RunningKernel kernel;
  // "i686" is also what a 64-bit kernel tells a process with a 32-bit personality.
  kernel.is_x86 = TextEquals(machine, "x86_64") || (machine.size() == 4 && machine[0] == 'i' && IsDigit(machine[1]) &&
                                                    TextEquals(machine.last(2), "86"));
  kernel.release = ParseVersionSignature(signature);
  if (!IsUnderstood(kernel.release)) kernel.release = ParseDebianVersion(version);
  if (!IsUnderstood(kernel.release)) kernel.release = ParseKernelRelease(release);
  return kernel;
}

RunningKernel ReadRunningKernel() {
  utsname names = {};
  if (SystemCall(SYS_uname, &names) != 0) return {};
  LineReader reader("/proc/version_signature");
  Text signature;
  if (!reader.Next(&signature)) signature = {};
  return KernelOf(TextOf(names.release), TextOf(names.version), TextOf(names.machine), signature);
}

}  // namespace acre::os
