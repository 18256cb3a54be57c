// Products of few rows: what an instruction set provides, and what is made of it. Start reading at panels.cc; the
// payload is drawn in layouts/gemv2.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "convolution/output_tile.h"
#include "layouts/gemv2.h"
#include "tritforge/convolution.h"
#include "tritforge/gemv.h"

namespace tritforge {

inline constexpr std::size_t kGemvMaxTileRows = 4;

// One panel and a few rows. All but the sums is read only.
struct GemvTile {
  const std::uint8_t* panel;
  GemvRun main, tail;
  const std::uint8_t* rows;  // arranged activations, row_stride bytes apart: int8, or uint8 if the method says so
  std::size_t row_stride;
  const std::int32_t* corrections;  // of each row: what `correct` wrote, a number for each stream
  std::size_t correction_stride;    // numbers
  std::int32_t* sums;               // of each row: Σ x·w at the 16 outputs of each block
  std::size_t sums_stride;          // numbers
};

// A way to multiply, for tiles of 1…rows rows.
struct GemvMethod {
  std::size_t rows;
  bool takes_unsigned;  // x is x + 128 as uint8, and the sums are those of x + 128
  void (*tile[kGemvMaxTileRows][kGemvPanelBlocks])(const GemvTile& tile) noexcept;  // by rows − 1 and blocks − 1
};

// What makes sums complete: sums[i] + offset · column_sums[i] + bias[i], modulo 2^32.
struct GemvCompletion {
  std::int32_t offset;
  const std::int32_t* column_sums;
  const std::int32_t* bias;  // or null
};

// The kernels of an instruction set. No function reads or writes outside of the lengths given, but prefetches may.
struct GemvKernels {
  const char* convolution_name;
  const char* dynamic_name;
  // The fastest way to multiply so many rows where a quad has so many steps.
  const GemvMethod& (*method)(std::size_t rows, std::size_t steps) noexcept;
  // Fills the corrections of one arranged row of int8, 4 · (quads of both runs) numbers: the start value of each
  // stream's sum.
  void (*correct)(const std::int8_t* row, const GemvRun& main, const GemvRun& tail, std::int32_t* corrections) noexcept;
  // quantize_row__reference, with the same result.
  float (*quantize)(const float* x, std::size_t depth, std::int8_t* q) noexcept;
  // y[i] = float(completed[i]) · (scale · channel_scales[i]) + bias[i], each operation rounded; the bias in float may
  // be null.
  void (*scale)(const std::int32_t* sums, const GemvCompletion& completion, std::size_t count, float scale,
                const float* channel_scales, const float* bias, float* y) noexcept;
  // The output stage of one row of completed sums, tile.channels of them; at most kGemvPanel.
  void (*store)(const std::int32_t* sums, const GemvCompletion& completion, const OutputTile& tile) noexcept;
};

// Null where there are none.
const GemvKernels* gemv_kernels(Isa isa) noexcept;
const ConvolutionKernel* gemv_convolution(Isa isa) noexcept;

#ifdef TRITFORGE_BUILT_AVX2
extern const GemvKernels kGemvAvx2;
#endif
#ifdef TRITFORGE_BUILT_AVXVNNI
extern const GemvKernels kGemvAvxVnni;
#endif
#ifdef TRITFORGE_BUILT_AVX512
extern const GemvKernels kGemvAvx512;
#endif
#ifdef TRITFORGE_BUILT_NEON
extern const GemvKernels kGemvNeon;
#endif

}  // namespace tritforge
