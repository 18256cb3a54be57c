// What an instruction set provides for training; training/tiles.h and training/channel_passes.h make it of its vectors.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tritforge/cpu.h"

namespace tritforge {

// A row of output pixels, or two of at most half as many, together at most kMaxTilePixels, and a block of output channels: for each line l
// of them, pixel p and channel m
//
//   y[l·y_line + p·y_step + m] = bias[m] + added[l·y_line + p·y_step + m]
//                              + Σ over rows r, k of x[l·x_line + p·x_step + r·x_row + k] · w[(r·length + k)·width + m]
//
// with the width of the block in packed weights. Channels from `outputs` on are not stored.
struct TileCall {
  const float* x;
  std::size_t x_step, x_row;
  std::size_t rows, length;
  const float* w;
  const float* bias;   // null for none
  const float* added;  // null for none
  float* y;
  std::size_t y_step;
  std::size_t outputs;
  std::size_t x_line, y_line;  // of two lines
  bool streams;  // y past the caches: it is aligned to the vector and all channels are stored
};

// Adds to sums[i][j] over images, rows and columns: v[… + i] · u[… + j], for the rows and columns of a tile.
struct SumsCall {
  const float* u;
  std::size_t u_image, u_row, u_column;
  std::size_t width;  // of u that is there; at least 1
  const float* v;
  std::size_t v_image, v_row, v_column;
  std::size_t images, rows, columns;
  float* sums;  // [tile rows][tile width]
  bool begins;  // with zeros, whatever the sums were
};

// A row of output pixels of a depthwise convolution: for each pixel p and channel c
//
//   y[p·y_step + c] = bias[c] + added[p·y_step + c] + Σ over taps (r, k) of x[p·x_step + r·x_row + k·channels + c] · w[(r·columns + k)·channels + c]
struct DepthwiseCall {
  const float* x;
  std::size_t x_step, x_row;
  std::size_t rows, columns;  // of the kernel
  const float* w;
  const float* bias;   // null for none
  const float* added;  // null for none
  float* y;
  std::size_t y_step;
  std::size_t pixels, channels;
};

// Adds to sums[tap][c] over images, rows and columns of outputs: v[… + c] · u[… + tap's offset + c].
struct DepthwiseSumsCall {
  const float* u;
  std::size_t u_image, u_row, u_column, u_line;  // the last from one row of the kernel to the next
  const float* v;
  std::size_t v_image, v_row;
  std::size_t images, rows, columns, channels;
  std::size_t kernel_rows, kernel_columns;
  float* sums;
};

// A window of a pool, `rows` × `columns` pixels of `channels`.
struct PoolCall {
  const float* x;
  std::size_t x_row;
  std::size_t rows, columns, channels;
  float* y;
  const float* g;
  float* out;
};

// Names as in FloatQuantization. The gradient adds to sums of low, high and scale, the last times the scale.
struct QuantizeCall {
  const float* x;
  const float* g;
  float* out;
  std::size_t count;
  float low, high, scale, least, most;
  double* sums;
};

inline constexpr std::size_t kMaxTilePixels = 16;
inline constexpr std::size_t kMaxLinePixels = kMaxTilePixels / 2;
inline constexpr std::size_t kMaxTileVectors = 2;
inline constexpr std::size_t kMaxSumsVectors = 3;
// Rows of tiles of weight gradients: 1, 2, 4 and 8.
inline constexpr std::size_t kSumsSizes = 4;
// What is written past the caches: so much that little of it would be there when it is read.
inline constexpr std::size_t kStreamedFloats = std::size_t{1} << 21;

// Passes over pixels of which each has `channels` numbers. Coefficients are per channel.
struct ChannelCall {
  std::size_t pixels, channels;
  bool streams;  // outputs past the caches: they are aligned to the vector, and channels are a multiple of it
  const float* x;
  const float* g;  // gradient of the output
  const float* y;  // null where nothing was rectified, or where y is to be computed anew
  const float* added;
  float* out;
  float* out_added;
  const float *a, *b, *c, *d;
  const float *factor, *bias;  // y = (x − a)·factor + bias; null where nothing was rectified, or y is there
  float *sum, *square;
};

struct TrainingKernels {
  std::size_t lanes;
  std::size_t most_pixels[kMaxTileVectors];  // of a tile of 1 or 2 vectors
  void (*tiles[kMaxTileVectors][kMaxTilePixels])(const TileCall&) noexcept;
  void (*line_tiles[kMaxLinePixels])(const TileCall&) noexcept;  // two lines, two vectors, up to half as many pixels
  std::size_t most_sums_vectors, sums_sizes;  // that fit the registers
  void (*sums[kSumsSizes][kMaxSumsVectors])(const SumsCall&) noexcept;
  void (*depthwise)(const DepthwiseCall&) noexcept;
  void (*depthwise_sums)(const DepthwiseSumsCall&) noexcept;
  // y = the largest x
  void (*largest)(const PoolCall&) noexcept;
  // out += g where x is the first that equals y
  void (*largest_gradient)(const PoolCall&) noexcept;
  void (*quantize)(const QuantizeCall&) noexcept;
  void (*quantize_gradient)(const QuantizeCall&) noexcept;
  // sum += x − a, square += (x − a)²
  void (*moments)(const ChannelCall&) noexcept;
  // out = (x − a)·b + c + added, rectified where d is not null
  void (*normalize)(const ChannelCall&) noexcept;
  // With g where y > 0: sum += g, square += g·(x − a)
  void (*gradient_sums)(const ChannelCall&) noexcept;
  // out = g·b + (x − a)·c + d, out_added = g; where c is null out = g·b
  void (*gradient)(const ChannelCall&) noexcept;
  // Makes what was written past the caches visible to other threads.
  void (*end_streams)() noexcept;
};

// Whether vectors of an instruction set can be streamed to a tensor that begins there and has lines of so many floats.
inline bool is_streamable(const TrainingKernels& kernels, const float* begin, std::size_t line) noexcept {
  return line % kernels.lanes == 0 && reinterpret_cast<std::uintptr_t>(begin) % (kernels.lanes * sizeof(float)) == 0;
}

extern const TrainingKernels kTrainingScalar;
#ifdef TRITFORGE_BUILT_AVX2
extern const TrainingKernels kTrainingAvx2;
#endif
#ifdef TRITFORGE_BUILT_AVX512
extern const TrainingKernels kTrainingAvx512;
#endif

const TrainingKernels& training_kernels(Isa isa) noexcept;

}  // namespace tritforge
