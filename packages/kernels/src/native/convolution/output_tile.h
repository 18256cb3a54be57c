// An output stage made ready for microkernels, and the piece of the output that one of them writes.
//
// Microkernels end with a tile of sums, rows × channels in registers; `<isa>/output_stage.h` turns it into outputs, bit for bit as
// requantize.h says. The bias is not here: microkernels start their sums from it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tritforge/output_stage.h"
#include "tritforge/requantize.h"

namespace tritforge {

struct PreparedStage {
  OutputKind kind;
  bool adds;                 // a residual
  bool bounded;              // no scaled sum leaves int32, as every multiplier is below 1: nothing to clamp before rounding
  std::uint8_t zero_point;
  std::uint8_t max_code;
  float lowest, highest;     // of a scaled sum that is neither below 0 nor above 255 with the zero point
  AddRequantization add;     // if `adds`
};

// Whether every |multiplier| < 1; NaN is not. False for no channels: not asked.
static inline bool multipliers_are_small(const float* multiplier, std::size_t channels) noexcept {
  unsigned large = channels == 0;
  for (std::size_t i = 0; i < channels; ++i) large |= !(multiplier[i] < 1.0f) | !(multiplier[i] > -1.0f);
  return large == 0;
}

// `channels` of the multipliers, if they are to be looked at for `bounded`.
static inline PreparedStage prepare_stage(const OutputStage& stage, std::size_t channels = 0) noexcept {
  const bool is_u8 = stage.kind == OutputKind::u8;
  const Residual& r = stage.residual;
  PreparedStage p{stage.kind,
                  is_u8 && r.values != nullptr,
                  is_u8 && multipliers_are_small(stage.multiplier, channels),
                  stage.zero_point,
                  stage.max_code,
                  static_cast<float>(-static_cast<int>(stage.zero_point)),
                  static_cast<float>(255 - stage.zero_point),
                  {}};
  if (p.adds) {
    p.add = add_requantization(r.output_scale, stage.zero_point, r.scale, r.zero_point, r.sum_scale, r.sum_zero_point);
  }
  return p;
}

// Pointers are to the first row and channel of the tile.
struct OutputTile {
  const PreparedStage* stage;
  const float* multiplier;        // readable up to a multiple of 16 channels; null for s32
  const std::uint8_t* residual;   // null without one
  void* output;                   // elements of stage->kind
  std::size_t row_stride;         // elements from one row to the next, of output and residual
  std::size_t channels;           // that exist; a tile may be wider
  // Of each row of the tile, which row of the output it is; null if they follow each other.
  const std::uint32_t* rows = nullptr;
};

// Elements from `output` to row `row` of the tile.
static inline std::size_t row_elements(const OutputTile& tile, std::size_t row) noexcept {
  return (tile.rows == nullptr ? row : tile.rows[row]) * tile.row_stride;
}

static inline std::size_t element_bytes(OutputKind kind) noexcept { return kind == OutputKind::u8 ? 1 : 4; }

// The same tile, begun `rows` and `channels` later. Some channel must be left.
static inline OutputTile advance(const OutputTile& tile, std::size_t rows, std::size_t channels) noexcept {
  OutputTile next = tile;
  if (tile.rows != nullptr) next.rows = tile.rows + rows;
  const std::size_t elements = (tile.rows == nullptr ? rows * tile.row_stride : 0) + channels;
  next.output = static_cast<std::uint8_t*>(tile.output) + elements * element_bytes(tile.stage->kind);
  if (tile.residual != nullptr) next.residual = tile.residual + elements;
  if (tile.multiplier != nullptr) next.multiplier = tile.multiplier + channels;
  next.channels = tile.channels - channels;
  return next;
}

}  // namespace tritforge
