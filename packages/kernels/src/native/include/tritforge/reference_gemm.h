// The plain reference of the ternary matrix product. It sits outside of any dispatch: fast kernels are checked against
// it, so it stays simple enough to be checked by reading.
//
//   C[m][n] = sum over k of (A[m][k] - zero_point) * t[n][k] * c[n][k / group_size]
//
// M rows of activations, N output channels, K input channels. All matrices are row-major; weights are [N, K], so an
// output channel is a row of the weights and a column of the result.
//
// Packed ternary codes, four to a byte, in the order [N, K] without a break (a row may begin inside a byte):
//
//   bit    7 6     5 4     3 2     1 0
//        +-------+-------+-------+-------+      -1 = 0b11
//   byte | t[3]  | t[2]  | t[1]  | t[0]  |       0 = 0b00
//        +-------+-------+-------+-------+      +1 = 0b01      0b10 is refused
#pragma once

#include <cstddef>
#include <cstdint>

namespace tritforge {

struct TernaryGemmShape {
  std::size_t m;           // rows of activations
  std::size_t n;           // output channels
  std::size_t k;           // input channels; 0 gives a result of zeros
  std::size_t group_size;  // neighbouring input channels that share a group code; the last group may be short
};

// Number of group codes of one output channel.
constexpr std::size_t groups_per_row(const TernaryGemmShape& shape) {
  return shape.k / shape.group_size + (shape.k % shape.group_size != 0);
}

// Bytes that `count` packed codes take.
constexpr std::size_t packed_byte_length(std::size_t count) { return count / 4 + (count % 4 != 0); }
static_assert(packed_byte_length(0) == 0 && packed_byte_length(4) == 1 && packed_byte_length(5) == 2);

struct PackedTernaryWeights {
  const std::uint8_t* codes;        // packed_byte_length(n * k) bytes
  const std::uint8_t* group_codes;  // [n, groups_per_row]
};

enum class GemmStatus {
  ok,
  invalid_code,          // a packed code is 0b10
  accumulator_overflow,  // 255 * sum |t c| of an output channel does not fit in int32
};

// uint8 activations, int32 result. Exact.
// `weight_row` is scratch for k values. `out` is [m, n]; after a failure its content is unspecified.
// `failed_row`, where not null, receives the output channel that failed.
[[nodiscard]] GemmStatus u8_s32_t2_gemm__reference(const TernaryGemmShape& shape, const std::uint8_t* activations,
                                                   std::uint8_t zero_point, const PackedTernaryWeights& weights,
                                                   std::int16_t* weight_row, std::int32_t* out,
                                                   std::size_t* failed_row) noexcept;

// out[m][n] = accumulators[m][n] * (input_scale * channel_scales[n]), computed in double and rounded once to float.
void dequantize_s32_f32(const TernaryGemmShape& shape, const std::int32_t* accumulators, float input_scale,
                        const float* channel_scales, float* out) noexcept;

}  // namespace tritforge
