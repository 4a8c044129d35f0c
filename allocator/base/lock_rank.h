#pragma once

// The order in which locks are taken: a thread that holds one may take only higher ones.

#include <cstdint>

namespace acre {

inline constexpr uint8_t kProcessHeapRank = 10;    // First use of the drop-in's heap.
inline constexpr uint8_t kShortageRank = 11;       // One callback for want of memory at a time.
inline constexpr uint8_t kCycleRank = 12;          // One collection at a time.
inline constexpr uint8_t kScavengerRank = 13;      // While memory goes back in the background.
inline constexpr uint8_t kRootsRank = 14;
inline constexpr uint8_t kEndsRank = 15;           // Weak references, ephemerons, finalizers, cleanups.
inline constexpr uint8_t kMutatorListRank = 16;    // Held while the world is stopped.
inline constexpr uint8_t kKindsRank = 18;
inline constexpr uint8_t kHelpersRank = 19;        // What the collector's own threads do outside of cycles.
inline constexpr uint8_t kThreadListRank = 20;     // The list of thread caches.
inline constexpr uint8_t kSpanPoolRank = 30;       // Spans of one class and kind that the collector sweeps.
inline constexpr uint8_t kLargePoolRank = 31;
inline constexpr uint8_t kCentralListRank = 32;    // + the size class: fork takes all of them, in order.
inline constexpr uint8_t kHugeListRank = 180;      // Objects with chunks of their own.
inline constexpr uint8_t kMarkPoolRank = 190;      // Grey objects that markers give each other.
inline constexpr uint8_t kWordBagRank = 195;       // Words that mutators leave for a marking collector.
inline constexpr uint8_t kPageHeapRank = 200;
inline constexpr uint8_t kChunkSpaceRank = 210;
inline constexpr uint8_t kMetadataRank = 220;

}  // namespace acre
