#pragma once

// Waves, and the plain loop of the serial mode, without a heap: what the steps of mark_worker.h cost where nothing has to
// be found out.
//
// Objects are all of one size, a power of two, and pointers lead to their first byte. A bit of one flat bitmap stands for
// each place where an object could begin, so that neither chunk, page, class nor kind is looked up; the mark stack is as
// large as the graph. The scan kernels are the marker's. What the marker takes longer is the price of a heap; what this
// takes is the machine's, and that of the method.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "arch/fields.h"
#include "arch/scan.h"

namespace acre::bench {

class BareWaves {
 public:
  // REQUIRES: every object of the graph lies in [base, limit).
  BareWaves(const arch::ScanBody& body, uintptr_t base, uintptr_t limit, size_t object_bytes, size_t objects)
      : body_(body),
        filter_{.low = base, .bytes = limit - base},
        shift_(static_cast<uint32_t>(std::countr_zero(object_bytes))),
        object_words_(object_bytes / sizeof(uint64_t)),
        marks_((limit - base) / object_bytes / 64 + 1),
        stack_(objects + 1) {}

  // Returns how many objects are reached.
  size_t Run(const std::vector<uintptr_t>& roots) {
    std::fill(marks_.begin(), marks_.end(), 0);
    depth_ = 0;
    marked_ = 0;
    for (size_t i = 0; i < roots.size(); i += kBatch) {
      const size_t count = std::min(kBatch, roots.size() - i);
      std::copy_n(roots.data() + i, count, candidates_);
      Mark(count);
    }
    Wave waves[2] = {};
    for (size_t round = 0; depth_ + waves[0].count + waves[1].count > 0; ++round) {
      Wave& scanned = waves[round % 2];
      Take(&waves[(round + 1) % 2]);
      const uint64_t* limit = body_.scan_alike(scanned.objects, scanned.count, object_words_, ~uint64_t{0}, filter_,
                                               candidates_);
      scanned.count = 0;
      Mark(static_cast<size_t>(limit - candidates_));
    }
    return marked_;
  }

 private:
  static constexpr size_t kBatch = arch::kMaxWaveObjects * arch::kMaxScanWords;
  struct Wave {
    size_t count = 0;
    uint64_t objects[arch::kMaxWaveObjects];
  };

  void Take(Wave* wave) {
    for (; wave->count < body_.wave_objects && depth_ > 0; ++wave->count) {
      wave->objects[wave->count] = stack_[--depth_];
      __builtin_prefetch(reinterpret_cast<const void*>(stack_[depth_]));
    }
  }

  void Mark(size_t count) {
    for (size_t i = count; i-- > 0;) __builtin_prefetch(&marks_[(candidates_[i] - filter_.low) >> shift_ >> 6], 1);
    const size_t before = depth_;
    for (size_t i = count; i-- > 0;) {
      const uint64_t number = (candidates_[i] - filter_.low) >> shift_;
      const uint64_t bits = marks_[number >> 6];
      marks_[number >> 6] = bits | uint64_t{1} << (number & 63);
      stack_[depth_] = candidates_[i];
      depth_ += ~(bits >> (number & 63)) & 1;
    }
    marked_ += depth_ - before;
  }

  const arch::ScanBody& body_;
  const arch::ScanFilter filter_;
  const uint32_t shift_;
  const size_t object_words_;
  std::vector<uint64_t> marks_;
  std::vector<uint64_t> stack_;
  size_t depth_ = 0;
  size_t marked_ = 0;
  uint64_t candidates_[kBatch + arch::kScanSlackWords];
};

// One object after the other, depth-first.
class BarePlain {
 public:
  // REQUIRES: as for the waves; objects of an even number of words.
  BarePlain(uintptr_t base, uintptr_t limit, size_t object_bytes, size_t objects)
      : base_(base),
        bytes_(limit - base),
        filter_(base, limit - base),
        shift_(static_cast<uint32_t>(std::countr_zero(object_bytes))),
        last_word_(object_bytes / sizeof(uint64_t) - 1),
        marks_((limit - base) / object_bytes / 64 + 1),
        stack_(objects + 1) {}

  // Returns how many objects are reached.
  size_t Run(const std::vector<uintptr_t>& roots) {
    std::fill(marks_.begin(), marks_.end(), 0);
    uintptr_t* top = stack_.data();
    for (size_t i = roots.size(); i-- > 0;) {
      if (Mark(roots[i])) *top++ = roots[i];
    }
    size_t marked = static_cast<size_t>(top - stack_.data());
    uint64_t expected = 0;
    uintptr_t next = 0;
    for (;;) {
      if (next == 0) {
        if (top == stack_.data()) return marked;
        next = *--top;
      }
      const uintptr_t object = next;
      __builtin_prefetch(reinterpret_cast<const void*>(object + 256));
      const auto* fields = reinterpret_cast<const uint64_t*>(object);
      next = 0;
      const uint64_t found = filter_.Find(fields, last_word_ + 1);
      if (found != expected) expected = arch::ForgetOrigin(found);
      for (uint64_t rest = expected; rest != 0; rest &= rest - 1) {
        const uint64_t word = fields[last_word_ - static_cast<size_t>(std::countr_zero(rest))];
        if (word - base_ >= bytes_ || !Mark(word)) continue;
        ++marked;
        if (next != 0) *top++ = next;
        next = word;
      }
    }
  }

 private:
  bool Mark(uintptr_t object) {
    const uint64_t number = (object - base_) >> shift_;
    uint64_t& bits = marks_[number >> 6];
    if ((bits >> (number & 63) & 1) != 0) return false;
    bits |= uint64_t{1} << (number & 63);
    return true;
  }

  const uint64_t base_;
  const uint64_t bytes_;
  const arch::Fields filter_;
  const uint32_t shift_;
  const size_t last_word_;
  std::vector<uint64_t> marks_;
  std::vector<uintptr_t> stack_;
};

}  // namespace acre::bench
