// Integer weights as models store them, before packing.
//
// A convolution has weights [OC, IC / groups, kH, kW] (OC outermost), a matrix product [N, K], which is the 1×1 case. Three
// kinds:
//
//   ternary   w = t · c, t in {-1, 0, 1}, c the group code: N neighbouring input channels at one output channel and one kernel
//             position share one. Codes of t are two bits, four to a byte, low bits first, in weight order without a break:
//
//               bit    7 6     5 4     3 2     1 0
//                    +-------+-------+-------+-------+      -1 = 0b11
//               byte | t[3]  | t[2]  | t[1]  | t[0]  |       0 = 0b00
//                    +-------+-------+-------+-------+      +1 = 0b01      0b10 is refused
//
//             group codes are bytes [OC, ceil(IC / groups / N), kH, kW], each 0…127; so |w| <= 127.
//   int8      w = any int8.
//   uniform2  w = levels[q], q an unsigned 2-bit code packed as above, each |level| <= 3.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tritforge {

enum class WeightKind : std::uint8_t { ternary = 0, int8 = 1, uniform2 = 2 };

struct WeightShape {
  std::size_t output_channels;  // of all groups; a multiple of `groups`
  std::size_t depth;            // input channels of one group: IC / groups
  std::size_t kernel_height;
  std::size_t kernel_width;
  std::size_t groups;           // of the convolution; 1 for a matrix product
};

constexpr std::size_t tap_count(const WeightShape& shape) { return shape.kernel_height * shape.kernel_width; }

struct Weights {
  WeightKind kind;
  WeightShape shape;
  const std::uint8_t* codes;        // ternary, uniform2: ceil(OC · depth · taps / 4) bytes
  const std::int8_t* values;        // int8: OC · depth · taps
  const std::uint8_t* group_codes;  // ternary
  std::size_t group_size;           // ternary: N, at least 1
  std::int8_t levels[4];            // uniform2
};

// Group codes along the depth.
constexpr std::size_t group_count(const Weights& w) { return (w.shape.depth + w.group_size - 1) / w.group_size; }

// Writes the int8 weights [OC, depth, kH, kW] that any kind stands for. The slow and obvious way; `values` has OC·depth·taps.
enum class Status;
Status decode_weights(const Weights& weights, std::int8_t* values) noexcept;

}  // namespace tritforge
