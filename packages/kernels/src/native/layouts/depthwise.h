// Payload of Layout::depthwise: int8, one input and one output channel per group (shape.depth = 1, OC = groups). Channels lie in
// blocks of 64, kernel rows in quads; what is missing at the end of either is 0. A dword has the four rows of a quad for one channel;
// dwords lie in the order in which interleaved rows come out of the unpacking instructions (convolution/depthwise_block.h):
//
//   [block of 64 channels][quad of kernel rows][kernel column][plane 0…3][lane 0…3][4 channels][4 rows]   int8
//
//                lane 0                  lane 1                  lane 2          lane 3
//   plane 0   | c0   c1   c2   c3   | c16  c17  c18  c19  | c32  …        | c48  …       |     64 bytes
//   plane 1   | c4   c5   c6   c7   | c20  …
//   plane 2   | c8   …                                                        channel = 16 · lane + 4 · plane + i
//   plane 3   | c12  …
#pragma once

#include <cstddef>

#include "tritforge/weights.h"

namespace tritforge {

inline constexpr std::size_t kDepthwiseBlock = 64, kDepthwiseQuad = 4;
// Of one kernel column.
inline constexpr std::size_t kDepthwiseColumnBytes = kDepthwiseBlock * kDepthwiseQuad;

constexpr std::size_t depthwise_quads(const WeightShape& shape) {
  return (shape.kernel_height + kDepthwiseQuad - 1) / kDepthwiseQuad;
}

constexpr std::size_t depthwise_block_bytes(const WeightShape& shape) {
  return depthwise_quads(shape) * shape.kernel_width * kDepthwiseColumnBytes;
}

}  // namespace tritforge
