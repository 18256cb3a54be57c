// Few rows of activations: y[m, n] = Σ_k x[m, k] · t[n, k] · c[n, k / N], bound by reading the weights, so these stay at two bits.
//
// Activations are float32 and quantized on the way in, row by row and symmetric: s = max|x| / 127, q = round_half_even(x / s) as
// int8; the result is s · channel_scale[n] · Σ q·w, plus bias. Or they are uint8 codes with a zero point and go through
// `convolution_kernel(Layout::gemv2, isa)` like any other layout.
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
  Status (*run)(const PackedWeights& weights, const float* x, std::size_t rows, const float* channel_scales, const float* bias,
                float* y, std::uint8_t* scratch, const Parallel& parallel) noexcept;
};

// For weights packed as Layout::gemv2; null where there is none.
const DynamicGemv* dynamic_gemv(Isa isa) noexcept;

}  // namespace tritforge
