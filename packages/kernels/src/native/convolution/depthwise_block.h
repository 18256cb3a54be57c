// Depthwise convolution in three steps over a block of neighbouring channels, and the table that each instruction set fills in.
//
// A dot product of four bytes needs four values of one channel side by side, but NHWC has channels side by side. So four rows of the
// image are interleaved, column by column; then one dot product takes four vertical taps at once, for every kernel column, stride and
// dilation alike, and for as many output rows as the four rows hold (two of a 3×3 kernel with stride 1, whose weights are shifted by
// one row):
//
//   row 0   a₀ a₁ a₂ …          dword of channel c                      weights of output row 0     w₀ w₁ w₂ 0
//   row 1   b₀ b₁ b₂ …    →     a_c b_c c_c d_c                                     output row 1     0  w₀ w₁ w₂
//   row 2   c₀ c₁ c₂ …
//   row 3   d₀ d₁ d₂ …          kernels of more than four rows take several such quads
//
// The interleaved dwords of 16 channels come out of the unpacking instructions in four pieces of 16 bytes, four channels each. Piece
// v of every 16 channels is kept in plane v:
//
//   plane v of a quad:   column 0: channels 4v…4v+3 | 16+4v…16+4v+3 | …    column 1: …         `width` bytes for a column
//
// so that the sums of four planes pack to 16 · n bytes in the order of channels again. Vectors that are wider than the block hold
// several columns, which are neighbours in the plane. Without a dot product of bytes there are twice as many planes: 4 + v holds the
// rows 1 and 3 as 16-bit numbers, v the rows 0 and 2.
#pragma once

#include <cstddef>
#include <cstdint>

#include "convolution/output_tile.h"
#include "tritforge/convolution.h"

namespace tritforge {

// Of one block.
struct DepthwiseBlock {
  std::size_t channels;    // that exist
  std::size_t width;       // channels that a column takes in a vector: 16, 32 … DepthwiseMicrokernel::vector_channels
  std::size_t quads;       // of rows
  std::size_t taps;        // kernel columns
  std::size_t shifts;      // output rows that share interleaved rows
  std::size_t shift_rows;  // from one of them to the next; the last is shifted by at most 3
};

// What belongs to the channels. It is brought in the order of planes once for each block.
struct DepthwisePreparation {
  const std::uint8_t* weights;      // packed, from the first kernel column of the 64 channels that the block lies in
  std::size_t first_channel;        // of the block in these
  const std::int32_t* column_sums;  // [channels]
  const std::int32_t* bias;         // [channels] or null
  const float* multiplier;          // [channels] or null
  std::uint8_t zero_point;
};

// Where the prepared values go, each aligned to 64 bytes.
struct DepthwiseConstants {
  std::uint8_t* weights;  // [shift][quad][tap][plane] vectors
  std::int32_t* start;    // [4] vectors: what the sums of a plane begin with
  float* multiplier;      // [4] vectors
  std::uint8_t* spare;    // a quad of packed weights of 64 channels, used while preparing
};

// Columns to interleave.
struct DepthwiseColumns {
  const std::uint8_t* rows[4];  // first channel of the block in the first column
  std::size_t steps[4];         // bytes from a column to the next
  std::size_t count;
  std::uint8_t* planes;         // first column
  std::size_t plane_bytes;      // from a plane to the next
};

// Pixels of one output row.
struct DepthwiseRow {
  const std::uint8_t* planes;   // first column of the window of the first pixel, first plane of the first quad
  std::size_t plane_bytes;
  std::size_t quad_bytes;       // from a quad to the next
  std::size_t tap_bytes;        // from a kernel column to the next
  std::size_t vector_bytes;     // from a vector of pixels to the next
  std::size_t count;            // pixels
  std::size_t shift;            // index of the output row among those that share interleaved rows
  OutputTile out;               // of the first pixel; its multiplier is not used
};

struct DepthwiseMicrokernel {
  const char* name;
  Isa isa;
  std::size_t vector_channels;  // the widest block, and bytes of a vector; at most 64
  std::size_t planes;           // of a quad: 4, or 8 of 16-bit numbers
  std::int32_t input_offset;    // that it subtracts from every input
  // May write up to a vector past the last column of each plane.
  void (*interleave)(const DepthwiseBlock& block, const DepthwiseColumns& columns) noexcept;
  // May read up to a vector past the last column.
  void (*multiply)(const DepthwiseBlock& block, const DepthwiseConstants& constants, const DepthwiseRow& row) noexcept;
};

#ifdef TRITFORGE_BUILT_AVX2
extern const DepthwiseMicrokernel kDepthwise__avx2;
#endif
#ifdef TRITFORGE_BUILT_AVXVNNI
extern const DepthwiseMicrokernel kDepthwise__avxvnni;
#endif
#ifdef TRITFORGE_BUILT_AVX512
extern const DepthwiseMicrokernel kDepthwise__avx512;
#endif
#ifdef TRITFORGE_BUILT_NEON
extern const DepthwiseMicrokernel kDepthwise__neon;
#endif

// Brings what belongs to the channels of a block in the order of planes.
void prepare_depthwise(const DepthwiseMicrokernel& kernel, const DepthwiseBlock& block, const DepthwisePreparation& from,
                       const DepthwiseConstants& to) noexcept;

}  // namespace tritforge
