#pragma once

// Follows a process and everything it starts, and changes the system calls that the filter stops at.

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "tests/support/hintless/options.h"

struct user_regs_struct;

namespace acre::hintless {

class Tracer {
 public:
  explicit Tracer(const Options& options) : options_(options), is_started_(!options.after_start) {}

  // Attaches to `child`, which must not have run the command yet. Returns 0 or an error number.
  int Attach(pid_t child);

  // Runs until every traced process is gone. Returns the wait status of `child`.
  int Run();

  // One line per system call named by --fail.
  std::string Log() const;

 private:
  struct Count {
    long calls = 0;
    long failed = 0;
  };
  // A breakpoint at the entry of a program, by which --after-start sees that the loader is done.
  struct EntryPoint {
    unsigned long address = 0;
    long original_word = 0;
  };

  void HandleStop(pid_t thread, int status);
  void HandleSyscall(pid_t thread);
  int ErrorFor(int syscall);
  void ApplyMmapRules(user_regs_struct& registers) const;
  void PlantEntryPoint(pid_t process);
  bool LeaveEntryPoint(pid_t thread);

  const Options& options_;
  pid_t child_ = 0;
  int child_status_ = 0;
  bool is_started_;
  std::map<int, Count> counts_;
  std::map<pid_t, EntryPoint> entry_points_;
};

}  // namespace acre::hintless
