// Gradients of weights of convolutions: sums over bands of images, kept in tiles.
#include <cstring>
#include <tuple>

#include "training/bands.h"
#include "training/packed_filters.h"
#include "training/training_kernels.h"
#include "tritforge/training.h"

namespace tritforge {
using namespace training;
namespace {

// Sums over bands in tiles: [kernel height][rows of tiles][columns of tiles][tile rows][tile width].
struct SumTiles {
  std::size_t width;    // of the (kx, c) that lie side by side
  std::size_t outputs;  // rows
  std::size_t vectors_left(std::size_t column, std::size_t lanes) const { return ceil_div(width - column, lanes); }
};

std::size_t sums_floats(const FloatConvolution& c, std::size_t lanes) {
  return c.kernel_height * ceil_div(c.kernel_width * c.channels, lanes) * lanes * c.outputs;
}

std::size_t tile_rows_log2(const TrainingKernels& kernels, std::size_t rows) {
  std::size_t size = kernels.sums_sizes - 1;
  while ((std::size_t{1} << size) > rows) --size;
  return size;
}

// As even as it goes: four vectors are two and two, not three and one.
std::size_t tile_vectors(const TrainingKernels& kernels, std::size_t vectors) {
  return ceil_div(vectors, ceil_div(vectors, kernels.most_sums_vectors));
}

// Calls work(ky, column, vectors, row, rows log2, sums) for each tile, in the order of the sums in memory.
template <typename Work>
void for_each_sum_tile(const TrainingKernels& kernels, const FloatConvolution& c, float* sums, Work work) {
  const std::size_t width = c.kernel_width * c.channels;
  for (std::size_t ky = 0; ky < c.kernel_height; ++ky) {
    for (std::size_t column = 0; column < width;) {
      const std::size_t vectors = tile_vectors(kernels, ceil_div(width - column, kernels.lanes));
      for (std::size_t row = 0; row < c.outputs;) {
        const std::size_t size = tile_rows_log2(kernels, c.outputs - row);
        work(ky, column, vectors, row, size, sums);
        sums += (std::size_t{1} << size) * vectors * kernels.lanes;
        row += std::size_t{1} << size;
      }
      column += vectors * kernels.lanes;
    }
  }
}

// Pixels whose factors are copied to panels, side by side as a tile reads them, where each copy is read often enough. As they lie in
// images they are apart by powers of two: they push each other out of the first cache, and each is on a page of its own.
constexpr std::size_t kPanelPixels = 128;
// Where the sums do not stay in the second cache, reading and writing them counts too.
constexpr std::size_t kManyPanelPixels = 224;
constexpr std::size_t kLargeBandFloats = std::size_t{1} << 19;
constexpr std::size_t kCachedSums = std::size_t{1} << 17;
constexpr std::size_t kLeastPanelOutputs = 128;

constexpr std::size_t kPanelRows = 8;
constexpr std::size_t kCacheLine = 64 / sizeof(float);

struct Blocking {
  bool uses_panels;
  std::size_t band_floats, panel_pixels;
};

Blocking blocking_of(const FloatConvolution& c) {
  const bool uses_panels = c.outputs >= kLeastPanelOutputs;
  const bool stays = c.outputs * c.kernel_height * c.kernel_width * c.channels <= kCachedSums;
  return {uses_panels, stays || !uses_panels ? kBandFloats : kLargeBandFloats, stays ? kPanelPixels : kManyPanelPixels};
}

// Of a band: images × rows × columns.
struct Block {
  std::size_t image, images, row, rows, column, columns;
  std::size_t pixels() const { return images * rows * columns; }
};

// Calls work(block) for blocks of at most `most` pixels that make up the band.
template <typename Work>
void for_each_block(const Band& band, std::size_t columns, std::size_t most, Work work) {
  const std::size_t wide = smaller(columns, most), high = smaller(band.rows, larger(most / wide, 1));
  const std::size_t deep = high == band.rows && wide == columns ? smaller(band.images, larger(most / (high * wide), 1)) : 1;
  for (std::size_t n = 0; n < band.images; n += deep) {
    for (std::size_t r = 0; r < band.rows; r += high) {
      for (std::size_t column = 0; column < columns; column += wide) {
        work(Block{n, smaller(deep, band.images - n), r, smaller(high, band.rows - r), column, smaller(wide, columns - column)});
      }
    }
  }
}

// Where the panel of rows of outputs from `row` on begins: a cache line between panels keeps them apart by what is no power of two.
std::size_t panel_offset(std::size_t row, std::size_t pixels) { return row * pixels + ceil_div(row, kPanelRows) * kCacheLine; }

// Distances of a tensor: from one image, row and column to the next.
struct Distances {
  std::size_t image, row, column;
};

// What a band multiplies: v of outputs with u of inputs.
struct Factors {
  const float *u, *v;  // of the first output of the band
  Distances of_u, of_v;
};

Factors factors_of(const FloatConvolution& c, const Walk& walk, const Band& band, const float* v) {
  const Distances of_u{band.image_stride, walk.stride_height * band.row_stride, walk.stride_width * walk.channels};
  const Distances of_v{walk.rows * walk.columns * c.outputs, walk.columns * c.outputs, c.outputs};
  return {band.input, v + band.image * of_v.image + band.row * of_v.row, of_u, of_v};
}

// Calls work(pixel) for each pixel of a block of a tensor.
template <typename Work>
void for_each_pixel(const Block& block, const float* tensor, const Distances& apart, Work work) {
  const float* const first = tensor + block.image * apart.image + block.row * apart.row + block.column * apart.column;
  for (std::size_t n = 0; n < block.images; ++n) {
    for (std::size_t r = 0; r < block.rows; ++r) {
      const float* pixel = first + n * apart.image + r * apart.row;
      for (std::size_t i = 0; i < block.columns; ++i, pixel += apart.column) work(pixel);
    }
  }
}

// With a size that the compiler knows where it is the usual one.
template <std::size_t... kUsual>
void copy_floats(const float* from, std::size_t count, float* to) {
  const bool is_usual = ((count == kUsual && (std::memcpy(to, from, kUsual * sizeof(float)), true)) || ...);
  if (!is_usual) std::memcpy(to, from, count * sizeof(float));
}

// A panel for each tile's rows of outputs.
void pack_rows(const TrainingKernels& kernels, const FloatConvolution& c, const Block& block, const Factors& factors, float* panels) {
  const std::size_t pixels = block.pixels();
  std::size_t done = 0;
  for_each_pixel(block, factors.v, factors.of_v, [&](const float* from) {
    for (std::size_t row = 0; row < c.outputs;) {
      const std::size_t high = std::size_t{1} << tile_rows_log2(kernels, c.outputs - row);
      copy_floats<kPanelRows>(from + row, high, panels + panel_offset(row, pixels) + done * high);
      row += high;
    }
    ++done;
  });
}

// One panel, for the columns of one tile: `there` of `wide` floats from `u` on.
void pack_columns(const Block& block, const float* u, const Distances& of_u, std::size_t there, std::size_t wide, float* to) {
  for_each_pixel(block, u, of_u, [&](const float* from) {
    // Of the next tile: no pattern that the processor sees.
    for (std::size_t i = 0; i < wide; i += kCacheLine) __builtin_prefetch(from + wide + i);
    copy_floats<48, 32>(from, there, to);
    to += wide;
  });
}

void sum_band_in_place(const TrainingKernels& kernels, const FloatConvolution& c, const Walk& walk, const Band& band,
                       const Factors& factors, float* sums, bool begins) {
  const auto& [of_u, of_v] = std::tie(factors.of_u, factors.of_v);
  SumsCall call{nullptr, of_u.image, of_u.row, of_u.column, 0, nullptr, of_v.image, of_v.row, of_v.column,
                band.images, band.rows, walk.columns, nullptr, begins};
  const std::size_t width = c.kernel_width * c.channels;
  for_each_sum_tile(
      kernels, c, sums,
      [&](std::size_t ky, std::size_t column, std::size_t vectors, std::size_t row, std::size_t size, float* to) {
        call.u = factors.u + ky * band.row_stride + column;
        call.width = smaller(width - column, vectors * kernels.lanes);
        call.v = factors.v + row;
        call.sums = to;
        kernels.sums[size][vectors - 1](call);
      });
}

void sum_block_in_panels(const TrainingKernels& kernels, const FloatConvolution& c, const Band& band, const Block& block,
                         const Factors& factors, float* sums, bool begins, float* panels) {
  const std::size_t pixels = block.pixels(), width = c.kernel_width * c.channels;
  float* const of_columns = panels + panel_offset(c.outputs, pixels);
  pack_rows(kernels, c, block, factors, panels);
  SumsCall call{};
  call.images = call.rows = 1;
  call.columns = pixels;
  call.u = of_columns;
  call.begins = begins;
  for_each_sum_tile(
      kernels, c, sums,
      [&](std::size_t ky, std::size_t column, std::size_t vectors, std::size_t row, std::size_t size, float* to) {
        const std::size_t wide = vectors * kernels.lanes, there = smaller(width - column, wide);
        if (row == 0) pack_columns(block, factors.u + ky * band.row_stride + column, factors.of_u, there, wide, of_columns);
        call.u_column = wide;
        call.width = there;
        call.v = panels + panel_offset(row, pixels);
        call.v_column = std::size_t{1} << size;
        call.sums = to;
        kernels.sums[size][vectors - 1](call);
      });
}

void sum_band(const TrainingKernels& kernels, const FloatConvolution& c, const Walk& walk, const Band& band, const float* v,
              float* sums, bool begins, float* panels) {
  const Blocking blocking = blocking_of(c);
  const Factors factors = factors_of(c, walk, band, v);
  if (!blocking.uses_panels) return sum_band_in_place(kernels, c, walk, band, factors, sums, begins);
  for_each_block(band, walk.columns, blocking.panel_pixels, [&](const Block& block) {
    sum_block_in_panels(kernels, c, band, block, factors, sums, begins, panels);
    begins = false;
  });
}

// Of one output and one row of the kernel: those from `column` on, of (kx, c).
void unpack_line(const float* from, std::size_t count, const FloatConvolution& c, std::size_t column, float* to) {
  const std::size_t taps = c.kernel_height * c.kernel_width;
  if (taps == 1) {
    std::memcpy(to + column, from, count * sizeof(float));
    return;
  }
  for (std::size_t kx = column / c.channels, channel = column % c.channels; count > 0; ++kx, channel = 0) {
    const std::size_t some = smaller(count, c.channels - channel);
    float* next = to + channel * taps + kx;
    for (std::size_t j = 0; j < some; ++j, next += taps) *next = from[j];
    from += some;
    count -= some;
  }
}

// Row by row, so that what is written stays in the first cache.
void unpack_sums(const TrainingKernels& kernels, const FloatConvolution& c, const float* sums, float* w) {
  const std::size_t width = c.kernel_width * c.channels, taps = c.kernel_height * c.kernel_width;
  for (std::size_t row = 0; row < c.outputs;) {
    const std::size_t high = std::size_t{1} << tile_rows_log2(kernels, c.outputs - row);
    for (std::size_t i = 0; i < high; ++i) {
      float* const to = w + (row + i) * c.channels * taps;
      const float* line = sums;
      for (std::size_t ky = 0; ky < c.kernel_height; ++ky) {
        for (std::size_t column = 0; column < width;) {
          const std::size_t wide = tile_vectors(kernels, ceil_div(width - column, kernels.lanes)) * kernels.lanes;
          unpack_line(line + row * wide + i * wide, smaller(wide, width - column), c, column, to + ky * c.kernel_width);
          line += c.outputs * wide;
          column += wide;
        }
      }
    }
    row += high;
  }
}

void sum_band_depthwise(const TrainingKernels& kernels, const FloatConvolution& c, const Walk& walk, const Band& band,
                        const float* v, float* sums) {
  DepthwiseSumsCall call{};
  call.u = band.input;
  call.u_image = band.image_stride;
  call.u_row = walk.stride_height * band.row_stride;
  call.u_column = walk.stride_width * walk.channels;
  call.u_line = band.row_stride;
  call.v_image = walk.rows * walk.columns * c.channels;
  call.v_row = walk.columns * c.channels;
  call.v = v + band.image * call.v_image + band.row * call.v_row;
  call.images = band.images;
  call.rows = band.rows;
  call.columns = walk.columns;
  call.channels = c.channels;
  call.kernel_rows = c.kernel_height;
  call.kernel_columns = c.kernel_width;
  call.sums = sums;
  kernels.depthwise_sums(call);
}

}  // namespace

std::size_t float_convolution_scratch_bytes(const FloatConvolution& c) noexcept {
  constexpr std::size_t kMostLanes = 16;
  const std::size_t taps = c.kernel_height * c.kernel_width;
  const Walk walk = forward_walk(c);
  // Weights packed either way, and a band of X or of the outputs' gradients with as many channels as there are outputs.
  const std::size_t forward = packed_floats(c.outputs, taps * c.channels, kMostLanes);
  const std::size_t backward = packed_floats(c.channels, taps * c.outputs, kMostLanes);
  const std::size_t back_row = (ceil_div(c.width, c.stride_width) + c.kernel_width) * c.outputs;
  const std::size_t back = larger(kBandFloats, (c.kernel_height + 1) * back_row);
  const std::size_t tiles = aligned_floats(larger(forward, backward)) + aligned_floats(larger(band_floats(walk), back));
  // Sums, a band of X, and panels.
  const Blocking blocking = blocking_of(c);
  const std::size_t panels = blocking.uses_panels ? panel_offset(c.outputs, blocking.panel_pixels) + blocking.panel_pixels * kMaxSumsVectors * kMostLanes : 0;
  const std::size_t sums = aligned_floats(sums_floats(c, kMostLanes)) + aligned_floats(band_floats(walk, blocking.band_floats)) +
                           aligned_floats(panels);
  return (larger(tiles, sums) + kAlignment) * sizeof(float);
}

void convolve_floats_weight_gradient(Isa isa, const FloatConvolution& c, const float* x, const float* y_gradient,
                                     float* w_gradient, std::uint8_t* scratch) noexcept {
  const TrainingKernels& kernels = training_kernels(isa);
  const Walk walk = forward_walk(c);
  float* const sums = reinterpret_cast<float*>(scratch);
  if (c.is_depthwise) {
    const std::size_t taps = c.kernel_height * c.kernel_width, floats = taps * c.channels;
    std::memset(sums, 0, floats * sizeof(float));
    for_each_band(walk, x, sums + aligned_floats(floats),
                  [&](const Band& band) { sum_band_depthwise(kernels, c, walk, band, y_gradient, sums); });
    for (std::size_t i = 0; i < floats; ++i) w_gradient[i % c.channels * taps + i / c.channels] = sums[i];
    return;
  }
  const std::size_t most = blocking_of(c).band_floats;
  float* const padded = sums + aligned_floats(sums_floats(c, kernels.lanes));
  float* const panels = padded + aligned_floats(band_floats(walk, most));
  bool begins = true;
  const auto add = [&](const Walk& part, const float* u, const float* v) {
    const auto sum = [&](const Band& band) {
      sum_band(kernels, c, part, band, v, sums, begins, panels);
      begins = false;
    };
    for_each_band(part, u, padded, sum, most);
  };
  if (is_product(c)) {
    const auto [pixels, rest] = product_walks(c.images * c.height * c.width, c.channels, most);
    const std::size_t done = pixels.images * pixels.columns;
    add(pixels, x, y_gradient);
    if (rest.images != 0) add(rest, x + done * c.channels, y_gradient + done * c.outputs);
  } else {
    add(walk, x, y_gradient);
  }
  unpack_sums(kernels, c, sums, w_gradient);
}

}  // namespace tritforge
