// A shared library that allocates in its constructor, frees in its destructor, and has thread-local data with a
// destructor: loaded and unloaded by lifetime_test.

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

struct Table {
  std::vector<std::string> words;
  void* block;

  Table() : words(100, std::string(100, 'x')), block(std::malloc(100'000)) { std::memset(block, 1, 100'000); }
  ~Table() { std::free(block); }
};

Table table;
thread_local std::vector<std::string> thread_words;

}  // namespace

extern "C" __attribute__((visibility("default"))) size_t PluginWork(size_t rounds) {
  for (size_t i = 0; i < rounds; ++i) thread_words.push_back(std::string(50 + i % 100, 'y'));
  return table.words.size() + thread_words.size();
}

// Memory that outlives the library.
extern "C" __attribute__((visibility("default"))) void* PluginAllocate(size_t bytes) { return std::malloc(bytes); }
