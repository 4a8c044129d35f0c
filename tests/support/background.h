#pragma once

// What tests ask of threads that a library makes for itself.

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace acre::testing {

// Threads of this process that have the name.
inline size_t CountThreadsNamed(const std::string& name) {
  size_t threads = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string found;
    std::getline(std::ifstream(task.path() / "comm"), found);
    threads += found == name ? 1 : 0;
  }
  return threads;
}

// Whether it comes true before a test has to be given up.
template <class Condition>
bool ComesTrue(Condition condition, std::chrono::seconds limit = std::chrono::seconds(30)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace acre::testing
