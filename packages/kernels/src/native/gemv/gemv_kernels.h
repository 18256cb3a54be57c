// Products of few rows: what an instruction set provides, and what is made of it. Start reading at panels.cc; the payload is drawn in
// layouts/gemv2.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include "convolution/output_tile.h"
#include "layouts/gemv2.h"
#include "tritforge/convolution.h"
#include "tritforge/gemv.h"

namespace tritforge {

inline constexpr std::size_t kGemvMaxTileRows = 6;

// One panel and a few rows. All but the sums is read only.
struct GemvTile {
  const std::uint8_t* panel;
  GemvRun main, tail;
  const std::int8_t* rows;            // arranged activations, row_stride bytes apart
  std::size_t row_stride;
  const std::int32_t* corrections;    // of each row: what `correct` wrote, a number for each stream
  std::size_t correction_stride;      // numbers
  std::int32_t* sums;                 // [rows][kGemvPanel]: Σ x·w; what is past the blocks of the panel is left alone
};

// The kernels of an instruction set. No function reads or writes outside of the lengths given, but prefetches may.
struct GemvKernels {
  Isa isa;
  const char* convolution_name;
  const char* dynamic_name;
  // By rows − 1 and blocks − 1. Null from some number of rows on.
  void (*tile[kGemvMaxTileRows][kGemvPanelBlocks])(const GemvTile& tile) noexcept;
  // Rows that one call should take at most, where a quad has so many steps.
  std::size_t (*tile_rows)(std::size_t steps) noexcept;
  // Fills the corrections of one arranged row, 4 · (quads of both runs) numbers: the start value of each stream's sum.
  void (*correct)(const std::int8_t* row, const GemvRun& main, const GemvRun& tail, std::int32_t* corrections) noexcept;
  // quantize_row__reference, with the same result.
  float (*quantize)(const float* x, std::size_t depth, std::int8_t* q) noexcept;
  // y[i] = float(sums[i]) · (scale · channel_scales[i]) + bias[i], each operation rounded; bias may be null.
  void (*scale)(const std::int32_t* sums, std::size_t count, float scale, const float* channel_scales, const float* bias,
                float* y) noexcept;
  // The output stage of one row. `sums` has kGemvPanel numbers, of which tile.channels count.
  void (*store)(const std::int32_t* sums, const OutputTile& tile) noexcept;
};

// Null where there are none.
const GemvKernels* gemv_kernels(Isa isa) noexcept;
const ConvolutionKernel* gemv_convolution(Isa isa) noexcept;

#ifdef TRITFORGE_BUILT_AVX512
extern const GemvKernels kGemvAvx512;
#endif

}  // namespace tritforge
