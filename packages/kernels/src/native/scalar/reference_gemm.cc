#include "tritforge/reference_gemm.h"

#include <limits>

namespace tritforge {
namespace {

constexpr int kInvalidCode = -2;

// The code at `index`, sign-extended from its two bits: -1, 0, 1, or kInvalidCode.
int unpack_code(const std::uint8_t* codes, std::size_t index) {
  const int bits = (codes[index / 4] >> (index % 4 * 2)) & 0b11;
  return (bits ^ 0b10) - 0b10;
}

// Writes t * c of one output channel to `weight_row`.
GemmStatus unpack_row(const TernaryGemmShape& shape, const PackedTernaryWeights& weights, std::size_t row,
                      std::int16_t* weight_row) {
  const std::uint8_t* group_codes = weights.group_codes + row * groups_per_row(shape);
  std::int64_t magnitude_sum = 0;
  for (std::size_t k = 0; k < shape.k; ++k) {
    const int code = unpack_code(weights.codes, row * shape.k + k);
    if (code == kInvalidCode) return GemmStatus::invalid_code;
    const int group_code = group_codes[k / shape.group_size];
    weight_row[k] = static_cast<std::int16_t>(code * group_code);
    magnitude_sum += code == 0 ? 0 : group_code;
  }
  const bool fits = magnitude_sum * 255 <= std::numeric_limits<std::int32_t>::max();
  return fits ? GemmStatus::ok : GemmStatus::accumulator_overflow;
}

std::int32_t dot(const std::uint8_t* activations, std::int32_t zero_point, const std::int16_t* weights,
                 std::size_t length) {
  std::int32_t sum = 0;
  for (std::size_t k = 0; k < length; ++k) sum += (activations[k] - zero_point) * weights[k];
  return sum;
}

}  // namespace

GemmStatus u8_s32_t2_gemm__reference(const TernaryGemmShape& shape, const std::uint8_t* activations,
                                     std::uint8_t zero_point, const PackedTernaryWeights& weights,
                                     std::int16_t* weight_row, std::int32_t* out, std::size_t* failed_row) noexcept {
  for (std::size_t n = 0; n < shape.n; ++n) {
    const GemmStatus status = unpack_row(shape, weights, n, weight_row);
    if (status != GemmStatus::ok) {
      if (failed_row != nullptr) *failed_row = n;
      return status;
    }
    for (std::size_t m = 0; m < shape.m; ++m) {
      out[m * shape.n + n] = dot(activations + m * shape.k, zero_point, weight_row, shape.k);
    }
  }
  return GemmStatus::ok;
}

void dequantize_s32_f32(const TernaryGemmShape& shape, const std::int32_t* accumulators, float input_scale,
                        const float* channel_scales, float* out) noexcept {
  for (std::size_t m = 0; m < shape.m; ++m) {
    for (std::size_t n = 0; n < shape.n; ++n) {
      const double scale = static_cast<double>(input_scale) * channel_scales[n];
      out[m * shape.n + n] = static_cast<float>(accumulators[m * shape.n + n] * scale);
    }
  }
}

}  // namespace tritforge
