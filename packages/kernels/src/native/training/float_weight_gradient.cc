// Gradients of weights of convolutions: sums over bands of images, kept in tiles.
#include <cstring>

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

void sum_band(const TrainingKernels& kernels, const FloatConvolution& c, const Walk& walk, const Band& band, const float* v,
              float* sums) {
  SumsCall call{};
  call.u_image = band.image_stride;
  call.u_row = walk.stride_height * band.row_stride;
  call.u_column = walk.stride_width * walk.channels;
  call.v_image = walk.rows * walk.columns * c.outputs;
  call.v_row = walk.columns * c.outputs;
  call.v_column = c.outputs;
  call.images = band.images;
  call.rows = band.rows;
  call.columns = walk.columns;
  const float* const first = v + band.image * call.v_image + band.row * call.v_row;
  const std::size_t width = c.kernel_width * c.channels;
  for_each_sum_tile(kernels, c, sums,
                    [&](std::size_t ky, std::size_t column, std::size_t vectors, std::size_t row, std::size_t size, float* to) {
                      call.u = band.input + ky * band.row_stride + column;
                      call.width = smaller(width - column, vectors * kernels.lanes);
                      call.v = first + row;
                      call.sums = to;
                      kernels.sums[size][vectors - 1](call);
                    });
}

void unpack_sums(const TrainingKernels& kernels, const FloatConvolution& c, float* sums, float* w) {
  const std::size_t width = c.kernel_width * c.channels, taps = c.kernel_height * c.kernel_width;
  for_each_sum_tile(kernels, c, sums,
                    [&](std::size_t ky, std::size_t column, std::size_t vectors, std::size_t row, std::size_t size,
                        const float* from) {
                      const std::size_t tile_width = vectors * kernels.lanes, there = smaller(width - column, tile_width);
                      for (std::size_t i = 0; i < std::size_t{1} << size; ++i, from += tile_width) {
                        float* const to = w + (row + i) * c.channels * taps + ky * c.kernel_width;
                        if (taps == 1) {
                          std::memcpy(to + column, from, there * sizeof(float));
                          continue;
                        }
                        std::size_t kx = column / c.channels, channel = column % c.channels;
                        for (std::size_t j = 0; j < there; ++j) {
                          to[channel * taps + kx] = from[j];
                          if (++channel == c.channels) {
                            channel = 0;
                            ++kx;
                          }
                        }
                      }
                    });
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
  // Weights packed either way, or sums.
  const std::size_t forward = packed_floats(c.outputs, taps * c.channels, kMostLanes);
  const std::size_t backward = packed_floats(c.channels, taps * c.outputs, kMostLanes);
  const std::size_t weights = larger(larger(forward, backward), sums_floats(c, kMostLanes));
  // A band of X, or of the outputs' gradients with as many channels as there are outputs.
  Walk walk = forward_walk(c);
  const std::size_t band = band_floats(walk);
  const std::size_t back_row = (ceil_div(c.width, c.stride_width) + c.kernel_width) * c.outputs;
  const std::size_t back = larger(kBandFloats, (c.kernel_height + 1) * back_row);
  return (aligned_floats(weights) + aligned_floats(larger(band, back)) + kAlignment) * sizeof(float);
}

void convolve_floats_weight_gradient(Isa isa, const FloatConvolution& c, const float* x, const float* y_gradient,
                                     float* w_gradient, std::uint8_t* scratch) noexcept {
  const TrainingKernels& kernels = training_kernels(isa);
  float* const sums = reinterpret_cast<float*>(scratch);
  const std::size_t taps = c.kernel_height * c.kernel_width;
  const std::size_t floats = c.is_depthwise ? taps * c.channels : sums_floats(c, kernels.lanes);
  std::memset(sums, 0, floats * sizeof(float));
  float* const padded = sums + aligned_floats(floats);
  if (c.is_depthwise) {
    const Walk walk = forward_walk(c);
    for_each_band(walk, x, padded, [&](const Band& band) { sum_band_depthwise(kernels, c, walk, band, y_gradient, sums); });
    for (std::size_t i = 0; i < floats; ++i) w_gradient[i % c.channels * taps + i / c.channels] = sums[i];
    return;
  }
  const auto add = [&](const Walk& walk, const float* u, const float* v) {
    for_each_band(walk, u, padded, [&](const Band& band) { sum_band(kernels, c, walk, band, v, sums); });
  };
  if (is_product(c)) {
    const auto [walk, rest] = product_walks(c.images * c.height * c.width, c.channels);
    const std::size_t done = walk.images * walk.columns;
    add(walk, x, y_gradient);
    if (rest.images != 0) add(rest, x + done * c.channels, y_gradient + done * c.outputs);
  } else {
    add(forward_walk(c), x, y_gradient);
  }
  unpack_sums(kernels, c, sums, w_gradient);
}

}  // namespace tritforge
