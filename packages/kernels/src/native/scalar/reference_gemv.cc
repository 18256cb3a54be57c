#include <cmath>
#include <limits>

#include "scalar/scalar_kernels.h"
#include "tritforge/gemv.h"

namespace tritforge {
namespace {

constexpr float kMaxCode = 127.0f;

std::size_t scratch_bytes(const PackedWeights& weights, std::size_t, std::size_t) noexcept {
  return (weights.shape.output_channels + 1) * weights.shape.depth;
}

Status run(const PackedWeights& weights, const float* x, std::size_t rows, const float* channel_scales,
           const float* bias, float* y, std::uint8_t* scratch, const Parallel&) noexcept {
  if (weights.layout != Layout::gemv2) return Status::unsupported;
  if (x == nullptr || channel_scales == nullptr || y == nullptr) return Status::invalid_argument;
  auto* const values = reinterpret_cast<std::int8_t*>(scratch);
  if (const Status status = unpack_weights(weights, values); status != Status::ok) return status;
  std::int8_t* const q = values + weights.shape.output_channels * weights.shape.depth;
  dynamic_gemv__reference(weights.shape, values, x, rows, channel_scales, bias, q, y);
  return Status::ok;
}

constexpr DynamicGemv kKernel{"f32_gemv2__scalar", Isa::scalar, scratch_bytes, run};

}  // namespace

float quantize_row__reference(const float* x, std::size_t depth, std::int8_t* q) noexcept {
  float largest = 0.0f;
  bool is_finite = true;
  for (std::size_t k = 0; k < depth; ++k) {
    is_finite = is_finite && std::isfinite(x[k]);
    largest = std::fmax(largest, std::fabs(x[k]));
  }
  const float scale = is_finite ? largest / kMaxCode : std::numeric_limits<float>::quiet_NaN();
  for (std::size_t k = 0; k < depth; ++k) {
    const float code = scale > 0.0f ? std::nearbyintf(x[k] / scale) : 0.0f;
    q[k] = static_cast<std::int8_t>(std::fmax(-kMaxCode, std::fmin(code, kMaxCode)));
  }
  return scale;
}

void dynamic_gemv__reference(const WeightShape& shape, const std::int8_t* values, const float* x, std::size_t rows,
                             const float* channel_scales, const float* bias, std::int8_t* q, float* y) noexcept {
  for (std::size_t m = 0; m < rows; ++m) {
    const float scale = quantize_row__reference(x + m * shape.depth, shape.depth, q);
    for (std::size_t n = 0; n < shape.output_channels; ++n) {
      std::int32_t sum = 0;
      for (std::size_t k = 0; k < shape.depth; ++k) sum += q[k] * values[n * shape.depth + k];
      const float product = static_cast<float>(sum) * (scale * channel_scales[n]);
      y[m * shape.output_channels + n] = bias == nullptr ? product : product + bias[n];
    }
  }
}

const DynamicGemv* scalar_dynamic_gemv() noexcept { return &kKernel; }

}  // namespace tritforge
