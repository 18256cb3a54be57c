// Convolutions of training: cuts the work into bands of images that stay in the second cache, pads them there, and walks tiles over them.
// Weights are packed anew by every call, as they change with every step.
//
// The transposed convolution is one convolution for each remainder of an input's place by the strides: of the outputs' gradients, by
// those taps that meet such a place, reversed.
#include <cstring>

#include "training/training_kernels.h"
#include "tritforge/training.h"

namespace tritforge {
namespace {

constexpr std::size_t kAlignment = 64;
// Floats of a band: half of a second cache of 512 KB, and a quarter of larger ones.
constexpr std::size_t kBandFloats = std::size_t{1} << 16;
// Rows of the input that are a multiple of so many bytes apart fall into the same set of the first cache.
constexpr std::size_t kSetBytes = 2048;
constexpr std::size_t kWays = 8;

std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }
std::size_t larger(std::size_t a, std::size_t b) { return a > b ? a : b; }
std::size_t ceil_div(std::size_t a, std::size_t b) { return (a + b - 1) / b; }
std::size_t aligned_floats(std::size_t count) { return ceil_div(count, kAlignment / sizeof(float)) * (kAlignment / sizeof(float)); }

// A convolution whose outputs may lie apart and whose padding may be negative, which crops.
struct Walk {
  std::size_t images, height, width, channels;
  std::size_t rows, columns;  // of outputs
  std::size_t kernel_height, kernel_width, stride_height, stride_width;
  std::ptrdiff_t top, left;

  std::size_t needed_height() const { return (rows - 1) * stride_height + kernel_height; }
  std::size_t needed_width() const { return (columns - 1) * stride_width + kernel_width; }
  bool is_padded() const {
    const auto h = static_cast<std::ptrdiff_t>(height), w = static_cast<std::ptrdiff_t>(width);
    return top > 0 || left > 0 || static_cast<std::ptrdiff_t>(needed_height()) - top > h ||
           static_cast<std::ptrdiff_t>(needed_width()) - left > w;
  }
};

// A part of the work whose input is in the cache.
struct Band {
  std::size_t image, images, row, rows;
  const float* input;             // of the first tap of the first output
  std::size_t image_stride, row_stride;  // floats
};

// Floats of the band of padded images, with a row at least.
std::size_t band_floats(const Walk& walk) {
  const std::size_t row = walk.needed_width() * walk.channels;
  const std::size_t image = walk.needed_height() * row, least = walk.kernel_height * row;
  if (image <= kBandFloats) return smaller(walk.images, larger(kBandFloats / image, 1)) * image;
  return larger(kBandFloats, least);
}

void copy_padded(const Walk& walk, const float* x, std::size_t image, std::size_t first_row, std::size_t rows, float* to) {
  const std::size_t width = walk.needed_width(), channels = walk.channels;
  for (std::size_t r = 0; r < rows; ++r, to += width * channels) {
    const std::ptrdiff_t y = static_cast<std::ptrdiff_t>(first_row + r) - walk.top;
    if (y < 0 || y >= static_cast<std::ptrdiff_t>(walk.height)) {
      std::memset(to, 0, width * channels * sizeof(float));
      continue;
    }
    const float* const row = x + (image * walk.height + static_cast<std::size_t>(y)) * walk.width * channels;
    const std::size_t before = walk.left > 0 ? smaller(static_cast<std::size_t>(walk.left), width) : 0;
    const std::size_t skipped = walk.left < 0 ? static_cast<std::size_t>(-walk.left) : 0;
    const std::size_t there = walk.width > skipped ? smaller(walk.width - skipped, width - before) : 0;
    std::memset(to, 0, before * channels * sizeof(float));
    std::memcpy(to + before * channels, row + skipped * channels, there * channels * sizeof(float));
    std::memset(to + (before + there) * channels, 0, (width - before - there) * channels * sizeof(float));
  }
}

// Calls work(band) for bands that make up all outputs. @param padded band_floats of memory
template <typename Work>
void for_each_band(const Walk& walk, const float* x, float* padded, Work work) {
  const bool copies = walk.is_padded();
  const std::size_t row = walk.needed_width() * walk.channels;
  const std::size_t image_floats = walk.needed_height() * row;
  const std::size_t images = image_floats <= kBandFloats ? larger(kBandFloats / image_floats, 1) : 1;
  const std::size_t fitting = larger(kBandFloats / row, walk.kernel_height);
  const std::size_t rows = image_floats <= kBandFloats ? walk.rows : (fitting - walk.kernel_height) / walk.stride_height + 1;
  for (std::size_t image = 0; image < walk.images; image += images) {
    const std::size_t some = smaller(images, walk.images - image);
    for (std::size_t first = 0; first < walk.rows; first += rows) {
      const std::size_t high = smaller(rows, walk.rows - first);
      const std::size_t input_rows = (high - 1) * walk.stride_height + walk.kernel_height;
      Band band{image, some, first, high, padded, input_rows * row, row};
      if (copies) {
        for (std::size_t i = 0; i < some; ++i) {
          copy_padded(walk, x, image + i, first * walk.stride_height, input_rows, padded + i * band.image_stride);
        }
      } else {
        band.image_stride = walk.height * walk.width * walk.channels;
        band.row_stride = walk.width * walk.channels;
        band.input = x + image * band.image_stride +
                     (first * walk.stride_height + static_cast<std::size_t>(-walk.top)) * band.row_stride +
                     static_cast<std::size_t>(-walk.left) * walk.channels;
      }
      work(band);
    }
  }
}

// --- weights of tiles: blocks of output channels, each [kernel height][kernel width][input channels][width of the block]
struct WeightView {
  const float* first;
  std::size_t outputs, inputs, kernel_height, kernel_width;
  std::ptrdiff_t output, input, row, column;  // distances
};

std::size_t block_vectors(const TrainingKernels& kernels, std::size_t outputs) {
  return outputs > kernels.lanes ? 2 : 1;
}

std::size_t packed_floats(std::size_t outputs, std::size_t depth, std::size_t lanes) {
  return ceil_div(outputs, lanes) * lanes * depth;
}

// A block whose taps and channels lie one after the other for each output, as the file has them: runs of some channels are read into the
// first cache, as outputs are apart by distances that fall into one set of it.
constexpr std::size_t kRunFloats = 64;

void pack_block(const WeightView& w, std::size_t first, std::size_t there, std::size_t width, float* to) {
  constexpr std::size_t kStride = kRunFloats + 1, kMostWidth = 32;
  float runs[kMostWidth * kStride];
  const std::size_t taps = w.kernel_height * w.kernel_width, most = kRunFloats / taps;
  for (std::size_t c = 0; c < w.inputs; c += most) {
    const std::size_t some = smaller(most, w.inputs - c);
    for (std::size_t m = 0; m < there; ++m) {
      const float* const from = w.first + static_cast<std::ptrdiff_t>(first + m) * w.output + static_cast<std::ptrdiff_t>(c * taps);
      std::memcpy(runs + m * kStride, from, some * taps * sizeof(float));
    }
    for (std::size_t i = 0; i < some; ++i) {
      for (std::size_t tap = 0; tap < taps; ++tap) {
        float* const line = to + (tap * w.inputs + c + i) * width;
        for (std::size_t m = 0; m < there; ++m) line[m] = runs[m * kStride + i * taps + tap];
        for (std::size_t m = there; m < width; ++m) line[m] = 0;
      }
    }
  }
}

void pack_weights(const TrainingKernels& kernels, const WeightView& w, float* to) {
  const std::size_t taps = w.kernel_height * w.kernel_width;
  const bool lies_in_order = taps <= kRunFloats && w.column == 1 && w.row == static_cast<std::ptrdiff_t>(w.kernel_width) &&
                             w.input == static_cast<std::ptrdiff_t>(taps);
  for (std::size_t first = 0; first < w.outputs;) {
    const std::size_t vectors = block_vectors(kernels, w.outputs - first), width = vectors * kernels.lanes;
    const std::size_t there = smaller(width, w.outputs - first);
    if (lies_in_order) pack_block(w, first, there, width, to);
    for (std::size_t c = 0; c < w.inputs && !lies_in_order; ++c) {
      for (std::size_t ky = 0; ky < w.kernel_height; ++ky) {
        for (std::size_t kx = 0; kx < w.kernel_width; ++kx) {
          const float* const from = w.first + static_cast<std::ptrdiff_t>(first) * w.output +
                                    static_cast<std::ptrdiff_t>(c) * w.input + static_cast<std::ptrdiff_t>(ky) * w.row +
                                    static_cast<std::ptrdiff_t>(kx) * w.column;
          float* const line = to + ((ky * w.kernel_width + kx) * w.inputs + c) * width;
          for (std::size_t m = 0; m < there; ++m) line[m] = from[static_cast<std::ptrdiff_t>(m) * w.output];
          for (std::size_t m = there; m < width; ++m) line[m] = 0;
        }
      }
    }
    to += taps * w.inputs * width;
    first += width;
  }
}

// --- outputs
struct Outputs {
  float* y;
  const float* added;  // lies as y does; or null
  const float* bias;   // or null
  std::size_t count;   // channels
  std::size_t image, row, column;  // distances
};

void convolve_band(const TrainingKernels& kernels, const Walk& walk, const Band& band, const float* packed, const Outputs& out) {
  const std::size_t step = walk.stride_width * walk.channels, depth = walk.kernel_height * walk.kernel_width * walk.channels;
  const bool collides = step * sizeof(float) % kSetBytes == 0;
  for (std::size_t first = 0; first < out.count;) {
    const std::size_t vectors = block_vectors(kernels, out.count - first), width = vectors * kernels.lanes;
    const std::size_t fitting = kernels.most_pixels[vectors - 1];
    const std::size_t most = collides ? smaller(fitting, kWays) : fitting;
    const std::size_t tiles = ceil_div(walk.columns, most), pixels = walk.columns / tiles, wider = walk.columns % tiles;
    TileCall call{};
    call.x_step = step;
    call.x_row = band.row_stride;
    call.rows = walk.kernel_height;
    call.length = walk.kernel_width * walk.channels;
    call.w = packed;
    call.bias = out.bias == nullptr ? nullptr : out.bias + first;
    call.y_step = out.column;
    call.outputs = smaller(width, out.count - first);
    for (std::size_t n = 0; n < band.images; ++n) {
      for (std::size_t r = 0; r < band.rows; ++r) {
        call.x = band.input + n * band.image_stride + r * walk.stride_height * band.row_stride;
        const std::size_t at = (band.image + n) * out.image + (band.row + r) * out.row + first;
        call.y = out.y + at;
        call.added = out.added == nullptr ? nullptr : out.added + at;
        for (std::size_t t = 0; t < tiles; ++t) {
          const std::size_t some = pixels + (t < wider ? 1 : 0);
          kernels.tiles[vectors - 1][some - 1](call);
          call.x += some * step;
          call.y += some * out.column;
          if (call.added != nullptr) call.added += some * out.column;
        }
      }
    }
    packed += width * depth;
    first += width;
  }
}

// Weights [tap][channels].
void convolve_band_depthwise(const TrainingKernels& kernels, const Walk& walk, const Band& band, const float* packed,
                             const Outputs& out) {
  DepthwiseCall call{};
  call.x_step = walk.stride_width * walk.channels;
  call.x_row = band.row_stride;
  call.rows = walk.kernel_height;
  call.columns = walk.kernel_width;
  call.w = packed;
  call.bias = out.bias;
  call.y_step = out.column;
  call.pixels = walk.columns;
  call.channels = walk.channels;
  for (std::size_t n = 0; n < band.images; ++n) {
    for (std::size_t r = 0; r < band.rows; ++r) {
      const std::size_t at = (band.image + n) * out.image + (band.row + r) * out.row;
      call.x = band.input + n * band.image_stride + r * walk.stride_height * band.row_stride;
      call.y = out.y + at;
      call.added = out.added == nullptr ? nullptr : out.added + at;
      kernels.depthwise(call);
    }
  }
}

void run_walk_depthwise(const TrainingKernels& kernels, const Walk& walk, const float* x, const float* packed, const Outputs& out,
                        float* padded) {
  for_each_band(walk, x, padded, [&](const Band& band) { convolve_band_depthwise(kernels, walk, band, packed, out); });
}

// [C, 1, KH, KW] to [tap][C], of the taps `first` + i·row + j·column.
void pack_depthwise(const float* w, std::size_t channels, std::size_t taps, std::size_t high, std::size_t wide,
                    std::ptrdiff_t row, std::ptrdiff_t column, float* to) {
  for (std::size_t ky = 0; ky < high; ++ky) {
    for (std::size_t kx = 0; kx < wide; ++kx) {
      const float* const tap = w + static_cast<std::ptrdiff_t>(ky) * row + static_cast<std::ptrdiff_t>(kx) * column;
      for (std::size_t c = 0; c < channels; ++c) *to++ = tap[c * taps];
    }
  }
}

void run_walk(const TrainingKernels& kernels, const Walk& walk, const float* x, const float* packed, const Outputs& out,
              float* padded) {
  for_each_band(walk, x, padded, [&](const Band& band) { convolve_band(kernels, walk, band, packed, out); });
}

Walk forward_walk(const FloatConvolution& c) {
  return {c.images,        c.height,       c.width,         c.channels,     c.output_height,
          c.output_width,  c.kernel_height, c.kernel_width, c.stride_height, c.stride_width,
          static_cast<std::ptrdiff_t>(c.pad_top), static_cast<std::ptrdiff_t>(c.pad_left)};
}

bool is_product(const FloatConvolution& c) {
  return c.kernel_height == 1 && c.kernel_width == 1 && c.stride_height == 1 && c.stride_width == 1 && c.pad_top == 0 &&
         c.pad_left == 0 && c.output_height == c.height && c.output_width == c.width;
}

// Pixels of a product as images of one row, so that they fill tiles and bands; `rest` has those that are over.
struct Product {
  Walk walk, rest;
};

Product product_walks(std::size_t pixels, std::size_t channels) {
  constexpr std::size_t kTiles = 14 * 16;  // of 14, 8 or 7 pixels
  const std::size_t fitting = larger(kBandFloats / channels / kTiles, 1) * kTiles;
  const std::size_t columns = smaller(fitting, pixels);
  const auto walk = [&](std::size_t images, std::size_t width) {
    return Walk{images, 1, width, channels, 1, width, 1, 1, 1, 1, 0, 0};
  };
  return {walk(pixels / columns, columns), walk(pixels % columns == 0 ? 0 : 1, pixels % columns)};
}

void run_product(const TrainingKernels& kernels, std::size_t pixels, std::size_t channels, const float* x, const float* packed,
                 const Outputs& out) {
  const auto [walk, rest] = product_walks(pixels, channels);
  Outputs part = out;
  part.column = out.count;
  part.row = part.image = walk.columns * out.count;
  run_walk(kernels, walk, x, packed, part, nullptr);
  if (rest.images == 0) return;
  const std::size_t done = walk.images * walk.columns;
  part.y += done * out.count;
  if (part.added != nullptr) part.added += done * out.count;
  run_walk(kernels, rest, x + done * channels, packed, part, nullptr);
}

// What no product is added to.
void fill(const Outputs& out, std::size_t images, std::size_t rows, std::size_t columns) {
  for (std::size_t n = 0; n < images; ++n) {
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t column = 0; column < columns; ++column) {
        const std::size_t at = n * out.image + r * out.row + column * out.column;
        if (out.added == nullptr) std::memset(out.y + at, 0, out.count * sizeof(float));
        else std::memcpy(out.y + at, out.added + at, out.count * sizeof(float));
      }
    }
  }
}

// --- one axis of the transposed convolution, for places of one remainder
struct Phase {
  std::size_t first, count;  // places, a stride apart
  std::size_t first_tap, taps;  // of the kernel, a stride apart
  std::ptrdiff_t pad;
};

Phase phase_of(std::size_t at, std::size_t size, std::size_t kernel, std::size_t stride, std::size_t pad) {
  const std::size_t tap = (at + pad) % stride, taps = tap < kernel ? ceil_div(kernel - tap, stride) : 0;
  const auto newest = static_cast<std::ptrdiff_t>((at + pad) / stride);  // the output that meets the first place under the first tap
  return {at, at < size ? ceil_div(size - at, stride) : 0, tap, taps, static_cast<std::ptrdiff_t>(taps) - 1 - newest};
}

// --- weight gradients
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

float* as_floats(std::uint8_t* scratch) { return reinterpret_cast<float*>(scratch); }

}  // namespace

const TrainingKernels& training_kernels(Isa isa) noexcept {
  switch (isa) {
#ifdef TRITFORGE_BUILT_AVX2
    case Isa::avx2:
    case Isa::avxvnni: return kTrainingAvx2;
#endif
#ifdef TRITFORGE_BUILT_AVX512
    case Isa::avx512: return kTrainingAvx512;
#endif
    default: return kTrainingScalar;
  }
}

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

void convolve_floats(Isa isa, const FloatConvolution& c, const float* x, const float* w, const float* bias, float* y,
                     std::uint8_t* scratch) noexcept {
  const TrainingKernels& kernels = training_kernels(isa);
  const auto taps = static_cast<std::ptrdiff_t>(c.kernel_height * c.kernel_width);
  float* const packed = as_floats(scratch);
  const std::size_t depth = c.kernel_height * c.kernel_width * c.channels;
  const std::size_t row = c.output_width * c.outputs;
  const Outputs out{y, nullptr, bias, c.outputs, c.output_height * row, row, c.outputs};
  if (c.is_depthwise) {
    pack_depthwise(w, c.channels, c.kernel_height * c.kernel_width, c.kernel_height, c.kernel_width,
                   static_cast<std::ptrdiff_t>(c.kernel_width), 1, packed);
    return run_walk_depthwise(kernels, forward_walk(c), x, packed, out, packed + aligned_floats(depth));
  }
  pack_weights(kernels,
               {w, c.outputs, c.channels, c.kernel_height, c.kernel_width, static_cast<std::ptrdiff_t>(depth), taps,
                static_cast<std::ptrdiff_t>(c.kernel_width), 1},
               packed);
  if (is_product(c)) return run_product(kernels, c.images * c.height * c.width, c.channels, x, packed, out);
  run_walk(kernels, forward_walk(c), x, packed, out, packed + aligned_floats(packed_floats(c.outputs, depth, kernels.lanes)));
}

void convolve_floats_input_gradient(Isa isa, const FloatConvolution& c, const float* y_gradient, const float* w,
                                    const float* added, float* x_gradient, std::uint8_t* scratch) noexcept {
  const TrainingKernels& kernels = training_kernels(isa);
  const std::size_t taps = c.kernel_height * c.kernel_width;
  float* const packed = as_floats(scratch);
  for (std::size_t a = 0; a < c.stride_height; ++a) {
    for (std::size_t b = 0; b < c.stride_width; ++b) {
      const Phase rows = phase_of(a, c.height, c.kernel_height, c.stride_height, c.pad_top);
      const Phase columns = phase_of(b, c.width, c.kernel_width, c.stride_width, c.pad_left);
      if (rows.count == 0 || columns.count == 0) continue;
      const std::size_t row = c.width * c.channels, at = a * row + b * c.channels;
      const Outputs out{x_gradient + at,
                        added == nullptr ? nullptr : added + at,
                        nullptr,
                        c.channels,
                        c.height * row,
                        c.stride_height * row,
                        c.stride_width * c.channels};
      if (rows.taps == 0 || columns.taps == 0) {
        fill(out, c.images, rows.count, columns.count);
        continue;
      }
      const std::size_t high = rows.taps, wide = columns.taps;
      const auto kernel_row = static_cast<std::ptrdiff_t>(c.stride_height * c.kernel_width);
      const auto kernel_column = static_cast<std::ptrdiff_t>(c.stride_width);
      const std::size_t last_tap =
          (rows.first_tap + (high - 1) * c.stride_height) * c.kernel_width + columns.first_tap + (wide - 1) * c.stride_width;
      const Walk walk{c.images, c.output_height, c.output_width, c.outputs, rows.count, columns.count, high, wide, 1, 1,
                      rows.pad, columns.pad};
      if (c.is_depthwise) {
        pack_depthwise(w + last_tap, c.channels, taps, high, wide, -kernel_row, -kernel_column, packed);
        run_walk_depthwise(kernels, walk, y_gradient, packed, out, packed + aligned_floats(high * wide * c.channels));
        continue;
      }
      pack_weights(kernels,
                   {w + last_tap, c.channels, c.outputs, high, wide, static_cast<std::ptrdiff_t>(taps),
                    static_cast<std::ptrdiff_t>(taps * c.channels), -kernel_row, -kernel_column},
                   packed);
      if (is_product(c)) return run_product(kernels, c.images * c.height * c.width, c.outputs, y_gradient, packed, out);
      const std::size_t depth = high * wide * c.outputs;
      run_walk(kernels, walk, y_gradient, packed, out,
               packed + aligned_floats(packed_floats(c.channels, depth, kernels.lanes)));
    }
  }
}

void convolve_floats_weight_gradient(Isa isa, const FloatConvolution& c, const float* x, const float* y_gradient,
                                     float* w_gradient, std::uint8_t* scratch) noexcept {
  const TrainingKernels& kernels = training_kernels(isa);
  float* const sums = as_floats(scratch);
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
