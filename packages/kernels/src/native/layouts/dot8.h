// Layout::dot8: int8 weights for dot products of four bytes, whatever kind they had. Four times the bytes of the 2-bit codes, and
// nothing to decode while multiplying.
//
// A strip is 16 output channels of one group; the last strip of a group is filled up with zeros. A row is one row of the kernel: its
// kW · depth weights in the order of the bytes in an image [.., W, channels], filled up with zeros to whole dwords of four. With a
// dilation of 1 the bytes under a kernel row lie side by side there, so a row of a few channels (the first layer's three) wastes at
// most three bytes; if depth is a multiple of 4, each tap of a row can as well be taken on its own.
//
//   payload = [group][strip][kH][dword of the row][16 outputs][4 bytes] int8
//
//            byte      0        1        2        3        4             63
//                  +--------+--------+--------+--------+--------+- … -+--------+
//          dword d | w[0,4d]  0,4d+1   0,4d+2   0,4d+3 | w[1,4d]        15,4d+3|      w[output, byte of the row]
//                  +--------+--------+--------+--------+--------+- … -+--------+
//
// The next dword, then the next row, follows: a strip is read from end to end. Kernels read one strip or several side by side.
//
// Kernels that leave out taps outside of the image need the sum of each tap's weights, for a zero point other than 0. Where they can,
// with several taps of whole dwords, it follows the strips:
//
//   tap sums = [kH][kW][group][strip][16 outputs] int32, little endian
#pragma once

#include "tritforge/weights.h"

namespace tritforge {

inline constexpr std::size_t kDot8StripOutputs = 16;
inline constexpr std::size_t kDot8DwordBytes = 4;
inline constexpr std::size_t kDot8VectorBytes = kDot8StripOutputs * kDot8DwordBytes;
static_assert(kDot8VectorBytes == 64);

constexpr std::size_t dot8_row_dwords(const WeightShape& s) {
  return (s.kernel_width * s.depth + kDot8DwordBytes - 1) / kDot8DwordBytes;
}

constexpr std::size_t dot8_group_outputs(const WeightShape& s) { return s.output_channels / s.groups; }

// Strips of one group.
constexpr std::size_t dot8_strips(const WeightShape& s) {
  return (dot8_group_outputs(s) + kDot8StripOutputs - 1) / kDot8StripOutputs;
}

constexpr std::size_t dot8_strip_bytes(const WeightShape& s) {
  return s.kernel_height * dot8_row_dwords(s) * kDot8VectorBytes;
}

// Outputs of all groups, filled up to whole strips.
constexpr std::size_t dot8_padded_outputs(const WeightShape& s) { return s.groups * dot8_strips(s) * kDot8StripOutputs; }

constexpr std::size_t dot8_strips_bytes(const WeightShape& s) { return s.groups * dot8_strips(s) * dot8_strip_bytes(s); }

constexpr bool dot8_has_tap_sums(const WeightShape& s) { return tap_count(s) > 1 && s.depth % kDot8DwordBytes == 0; }

// Position of w[oc, ic, ky, kx].
constexpr std::size_t dot8_position(const WeightShape& s, std::size_t oc, std::size_t ic, std::size_t ky, std::size_t kx) {
  const std::size_t group = oc / dot8_group_outputs(s), output = oc % dot8_group_outputs(s);
  const std::size_t strip = group * dot8_strips(s) + output / kDot8StripOutputs, byte = kx * s.depth + ic;
  return strip * dot8_strip_bytes(s) + (ky * dot8_row_dwords(s) + byte / kDot8DwordBytes) * kDot8VectorBytes +
         output % kDot8StripOutputs * kDot8DwordBytes + byte % kDot8DwordBytes;
}

}  // namespace tritforge
