// Payload of Layout::depthwise: int8, one input and one output channel per group (shape.depth = 1, OC = groups). Channels lie in
// strips of 16, kernel rows in quads; what is missing at the end of either is 0.
//
//   [strip of 16 channels][quad of kernel rows][kernel column][16 channels][4 rows]   int8
//
//   strip 0, quad 0, column 0       strip 0, quad 0, column 1
//   +----+----+----+----+----+---   -+----+---
//   | c0   c0   c0   c0 | c1   …  c15 | c0  …           64 bytes for each column
//   | r0   r1   r2   r3 | r0   …   r3 | r0  …
//   +----+----+----+----+----+---   -+----+---
#pragma once

#include <cstddef>

#include "tritforge/weights.h"

namespace tritforge {

constexpr std::size_t depthwise_quads(const WeightShape& shape) { return (shape.kernel_height + 3) / 4; }

constexpr std::size_t depthwise_strip_bytes(const WeightShape& shape) {
  return depthwise_quads(shape) * shape.kernel_width * 16 * 4;
}

}  // namespace tritforge
