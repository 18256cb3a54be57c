// Few rows of activations: y[m, n] = Σ_k x[m, k] · t[n, k] · c[n, k / N], bound by reading the weights, so these stay
// at two bits.
//
// Activations are float32 and quantized on the way in, row by row and symmetric:
//
//   a = max |x|     s = a / 127     q = round_half_even(x / s), clipped to -127…127
//   y = float(Σ q·w) · (s · channel_scale[n]) + bias[n]
//
// Every operation is rounded to float32 on its own. Where s is 0 (a row of zeros, or of values so small that a / 127
// vanishes), q is 0. Where a row holds an infinity or a NaN, s is NaN and q is 0, so that each y of the row is NaN. All
// kernels give the same q and the same s, and a y that differs in no bit (for NaN: in its payload at most).
//
// Or activations are uint8 codes with a zero point and go through `convolution_kernel(Layout::gemv2, isa)` like any
// other layout.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tritforge/cpu.h"
#include "tritforge/packed_weights.h"
#include "tritforge/parallel.h"

namespace tritforge {

struct DynamicGemv {
  const char* name;
  Isa isa;
  std::size_t (*scratch_bytes)(const PackedWeights& weights, std::size_t rows, std::size_t threads) noexcept;
  // x [rows, depth], y [rows, OC]; channel_scales [OC]; bias [OC] or null.
  Status (*run)(const PackedWeights& weights, const float* x, std::size_t rows, const float* channel_scales,
                const float* bias, float* y, std::uint8_t* scratch, const Parallel& parallel) noexcept;
};

// For weights packed as Layout::gemv2; null where there is none.
const DynamicGemv* dynamic_gemv(Isa isa) noexcept;

// The formulas above, to be checked by reading. Writes q [depth] and returns s.
float quantize_row__reference(const float* x, std::size_t depth, std::int8_t* q) noexcept;

// `values` are int8 weights [OC, depth]; q is scratch for one row.
void dynamic_gemv__reference(const WeightShape& shape, const std::int8_t* values, const float* x, std::size_t rows,
                             const float* channel_scales, const float* bias, std::int8_t* q, float* y) noexcept;

}  // namespace tritforge
