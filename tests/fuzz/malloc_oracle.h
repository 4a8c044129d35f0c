#pragma once

// Reads bytes as calls of the malloc family and compares each answer with a plain model.
//
// The model knows of every live block its place, its size, what it must contain, and that no two overlap. A wrong answer
// ends the process with one line, which is what a fuzzer looks for. The calls go through the functions of <stdlib.h>, so
// the same bytes can be run on any malloc.

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace acre::fuzz {

// Hands out the input byte by byte; zeros after its end.
class Input {
 public:
  Input(const uint8_t* data, size_t bytes) : at_(data), left_(bytes) {}

  bool is_empty() const { return left_ == 0; }
  uint8_t Byte();
  uint32_t Word();
  // A size: mostly small, now and then around a page, a span or a chunk, rarely absurd.
  size_t Size();

 private:
  const uint8_t* at_;
  size_t left_;
};

class Oracle {
 public:
  Oracle();
  ~Oracle();

  // Performs one call and checks it.
  void Step(Input& input);

 private:
  struct Block {
    uint8_t* at = nullptr;
    size_t bytes = 0;
    uint8_t tag = 0;
  };
  using Take = void* (*)(size_t alignment, size_t bytes);

  void Allocate(Block& block, Input& input, Take take, size_t alignment, bool must_be_zero);
  void Reallocate(Block& block, Input& input);
  void Release(Block& block, Input& input);
  void Adopt(Block& block, void* result, size_t bytes, size_t alignment);
  void Forget(Block& block);
  void Fill(Block& block);
  void Check(const Block& block) const;

  std::vector<Block> blocks_;
  std::map<uintptr_t, uintptr_t> intervals_;  // base to limit of each live block, by usable size
  size_t live_bytes_ = 0;
  uint8_t next_tag_ = 1;
};

// One input of a fuzzer.
void RunInput(const uint8_t* data, size_t bytes);

}  // namespace acre::fuzz
