#pragma once

// The order in which locks are taken: a thread that holds one may take only higher ones.

#include <cstdint>

namespace acre {

inline constexpr uint8_t kProcessHeapRank = 10;    // First use of the drop-in's heap.
inline constexpr uint8_t kThreadListRank = 20;     // The list of thread caches.
inline constexpr uint8_t kCentralListRank = 32;    // + the size class: fork takes all of them, in order.
inline constexpr uint8_t kHugeListRank = 180;      // Objects with chunks of their own.
inline constexpr uint8_t kPageHeapRank = 200;
inline constexpr uint8_t kChunkSpaceRank = 210;
inline constexpr uint8_t kMetadataRank = 220;

}  // namespace acre
