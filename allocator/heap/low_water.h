#pragma once

// How little of a stock was there during the last while: what nobody needed.
//
// The minimum over a sliding window, kept as the minima of four quarters. A pure function of what it is told, so that
// tests need no clock. Used for dirty free pages (a window of 1 s) and for magazines in a depot (100 ms).

#include <cstddef>
#include <cstdint>

namespace acre {

class LowWater {
 public:
  // The stock is now `level`. Called whenever it may have fallen.
  void Note(size_t level) {
    if (level < quarters_[current_]) quarters_[current_] = level;
  }

  // Lets time pass; `level` is the stock now. Returns the least level of the window, or 0 while it is not yet full.
  size_t Advance(uint64_t now_ns, uint64_t quarter_ns, size_t level) {
    Note(level);
    // Callers read different clocks, and read them before they have the lock: time that goes back stands still.
    if (now_ns >= quarter_began_ns_ + quarter_ns) {
      const uint64_t passed = quarter_began_ns_ == 0 ? 1 : (now_ns - quarter_began_ns_) / quarter_ns;
      quarter_began_ns_ = now_ns;
      // Nobody can say when in a long silence the stock was at its least, so that each quarter of it counts as such.
      const size_t least = quarters_[current_];
      for (uint64_t i = 0; i < passed && i < kQuarters; ++i) {
        current_ = (current_ + 1) % kQuarters;
        quarters_[current_] = least;
        if (filled_ < kQuarters) ++filled_;
      }
      quarters_[current_] = level;
    }
    if (filled_ < kQuarters) return 0;
    size_t least = level;
    for (size_t quarter : quarters_) least = quarter < least ? quarter : least;
    return least;
  }

  // `amount` of the stock was taken away on purpose.
  void Subtract(size_t amount) {
    for (size_t& quarter : quarters_) quarter -= amount < quarter ? amount : quarter;
  }

 private:
  static constexpr uint32_t kQuarters = 4;
  size_t quarters_[kQuarters] = {};
  uint64_t quarter_began_ns_ = 0;
  uint32_t current_ = 0;
  uint32_t filled_ = 0;
};

}  // namespace acre
