#include <cstring>

#include "os/check.h"
#include "os/linux/system_call.h"

namespace acre::os {

void Line::Write(int descriptor) const {
  static constexpr char kPrefix[] = "acre: ";
  static constexpr size_t kPrefixBytes = sizeof kPrefix - 1;
  char output[kPrefixBytes + kCapacity + 1];
  std::memcpy(output, kPrefix, kPrefixBytes);
  std::memcpy(output + kPrefixBytes, text_, used_);
  output[kPrefixBytes + used_] = '\n';
  // One call, so that lines of several threads do not mix. Nobody could be told of a failure.
  (void)SystemCall(SYS_write, descriptor, output, kPrefixBytes + used_ + 1);
}

}  // namespace acre::os
