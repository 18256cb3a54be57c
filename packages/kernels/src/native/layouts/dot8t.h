// Payload of Layout::dot8t: ternary weights as int8 trits −1, 0, 1 with the group codes apart. For instruction sets that multiply bytes
// but add them up in 16 bits: trits keep such sums small until the end of a group of N inputs, where the code multiplies them once.
//
//   |Σ x·t| of a 16-bit lane, which takes two of every four bytes: N / 4 · 2 · 255 ≤ 32767 for N ≤ 256
//
// For depth and N that are multiples of 4. A strip is 16 output channels of one group of the convolution; the last strip of a group is
// filled up with zeros. Positions of the kernel go row by row.
//
//   payload = [group][strip], then the tap sums
//
//   strip   offset  bytes
//                0      4   dwords of a position: depth / 4       repeated from the block, so that kernels need the strip alone
//                4      4   dwords of a group of inputs: N / 4
//                8      4   where the codes begin
//               12     52   0
//               64          trits   [position][dword of the depth][16 outputs][4] int8, as in dot8.h
//                …          codes   [position][group of inputs][16 outputs][2] uint8, each code twice: multipliers of both lanes
//                …          0 up to a multiple of 64
//
//   tap sums, if there are several positions: Σ w = [position][group][strip][16 outputs] int32, little endian
#pragma once

#include <cstddef>
#include <cstdint>

#include "tritforge/weights.h"

namespace tritforge {

inline constexpr std::size_t kDot8tStripOutputs = 16, kDot8tDwordBytes = 4, kDot8tHeaderBytes = 64, kDot8tMostInputs = 256;
inline constexpr std::size_t kDot8tVectorBytes = kDot8tStripOutputs * kDot8tDwordBytes, kDot8tCodeBytes = kDot8tStripOutputs * 2;

struct Dot8tShape {
  std::size_t groups, outputs, strips;          // of the convolution; of a group
  std::size_t positions;                        // of the kernel
  std::size_t dwords, group_dwords, code_rows;  // of a position: dwords; of a group of inputs; groups of inputs
};

constexpr Dot8tShape dot8t_shape(const WeightShape& s, std::size_t group_size) {
  const std::size_t outputs = s.output_channels / s.groups;
  return {s.groups,
          outputs,
          (outputs + kDot8tStripOutputs - 1) / kDot8tStripOutputs,
          tap_count(s),
          s.depth / kDot8tDwordBytes,
          group_size / kDot8tDwordBytes,
          (s.depth + group_size - 1) / group_size};
}

constexpr std::size_t dot8t_codes_offset(const Dot8tShape& s) {
  return kDot8tHeaderBytes + s.positions * s.dwords * kDot8tVectorBytes;
}

constexpr std::size_t dot8t_strip_bytes(const Dot8tShape& s) {
  return (dot8t_codes_offset(s) + s.positions * s.code_rows * kDot8tCodeBytes + 63) / 64 * 64;
}

constexpr std::size_t dot8t_strips_bytes(const Dot8tShape& s) { return s.groups * s.strips * dot8t_strip_bytes(s); }

}  // namespace tritforge
