// Convolutions of training, and gradients of their inputs: walks tiles over bands of images.
//
// The transposed convolution is one convolution for each remainder of an input's place by the strides: of the outputs' gradients, by
// those taps that meet such a place, reversed.
#include <cstring>

#include "training/bands.h"
#include "training/packed_filters.h"
#include "training/training_kernels.h"
#include "tritforge/training.h"

namespace tritforge {
using namespace training;
namespace {

// Rows of the input that are a multiple of so many bytes apart fall into the same set of the first cache.
constexpr std::size_t kSetBytes = 2048;
constexpr std::size_t kWays = 8;

// --- outputs
struct Outputs {
  float* y;
  const float* added;  // lies as y does; or null
  const float* bias;   // or null
  std::size_t count;   // channels
  std::size_t image, row, column;  // distances
  bool streams;
};

// Whether outputs go past the caches: images of so many pixels, as far apart as their channels or a multiple of it.
bool streams(const TrainingKernels& kernels, const float* y, std::size_t channels, std::size_t pixels) {
  return pixels * channels >= kStreamedFloats && is_streamable(kernels, y, channels);
}

// Rows of outputs of a band, image by image.
struct Lines {
  const Walk& walk;
  const Band& band;
  const Outputs& out;

  std::size_t count() const { return band.images * band.rows; }
  std::size_t input(std::size_t line) const {
    return line / band.rows * band.image_stride + line % band.rows * walk.stride_height * band.row_stride;
  }
  std::size_t output(std::size_t line) const {
    return (band.image + line / band.rows) * out.image + (band.row + line % band.rows) * out.row;
  }
};

void convolve_line(const TrainingKernels& kernels, TileCall call, std::size_t vectors, std::size_t columns, std::size_t most) {
  const std::size_t tiles = ceil_div(columns, most), pixels = columns / tiles, wider = columns % tiles;
  for (std::size_t t = 0; t < tiles; ++t) {
    const std::size_t some = pixels + (t < wider ? 1 : 0);
    kernels.tiles[vectors - 1][some - 1](call);
    call.x += some * call.x_step;
    call.y += some * call.y_step;
    if (call.added != nullptr) call.added += some * call.y_step;
  }
}

void convolve_band(const TrainingKernels& kernels, const Walk& walk, const Band& band, const float* packed, const Outputs& out) {
  const std::size_t step = walk.stride_width * walk.channels, depth = walk.kernel_height * walk.kernel_width * walk.channels;
  const bool collides = step * sizeof(float) % kSetBytes == 0;
  const Lines lines{walk, band, out};
  for (std::size_t first = 0; first < out.count;) {
    const std::size_t vectors = block_vectors(kernels, out.count - first), width = vectors * kernels.lanes;
    const std::size_t fitting = kernels.most_pixels[vectors - 1];
    TileCall call{};
    call.x_step = step;
    call.x_row = band.row_stride;
    call.rows = walk.kernel_height;
    call.length = walk.kernel_width * walk.channels;
    call.w = packed;
    call.bias = out.bias == nullptr ? nullptr : out.bias + first;
    call.y_step = out.column;
    call.outputs = smaller(width, out.count - first);
    call.streams = out.streams;
    const bool pairs = vectors == 2 && 2 * walk.columns <= fitting;
    for (std::size_t line = 0; line < lines.count();) {
      const std::size_t from = lines.input(line), to = lines.output(line) + first;
      call.x = band.input + from;
      call.y = out.y + to;
      call.added = out.added == nullptr ? nullptr : out.added + to;
      if (pairs && line + 1 < lines.count()) {
        call.x_line = lines.input(line + 1) - from;
        call.y_line = lines.output(line + 1) + first - to;
        kernels.line_tiles[walk.columns - 1](call);
        line += 2;
      } else {
        convolve_line(kernels, call, vectors, walk.columns, collides ? smaller(fitting, kWays) : fitting);
        ++line;
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

void run_walk(const TrainingKernels& kernels, const Walk& walk, const float* x, const float* packed, const Outputs& out,
              float* padded) {
  for_each_band(walk, x, padded, [&](const Band& band) { convolve_band(kernels, walk, band, packed, out); });
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

void convolve_floats(Isa isa, const FloatConvolution& c, const float* x, const float* w, const float* bias, float* y,
                     std::uint8_t* scratch) noexcept {
  const TrainingKernels& kernels = training_kernels(isa);
  const auto taps = static_cast<std::ptrdiff_t>(c.kernel_height * c.kernel_width);
  float* const packed = as_floats(scratch);
  const std::size_t depth = c.kernel_height * c.kernel_width * c.channels;
  const std::size_t row = c.output_width * c.outputs;
  const bool far = streams(kernels, y, c.outputs, c.images * c.output_height * c.output_width);
  const Outputs out{y, nullptr, bias, c.outputs, c.output_height * row, row, c.outputs, far};
  if (c.is_depthwise) {
    pack_depthwise(w, c.channels, c.kernel_height * c.kernel_width, c.kernel_height, c.kernel_width,
                   static_cast<std::ptrdiff_t>(c.kernel_width), 1, packed);
    return run_walk_depthwise(kernels, forward_walk(c), x, packed, out, packed + aligned_floats(depth));
  }
  pack_weights(kernels,
               {w, c.outputs, c.channels, c.kernel_height, c.kernel_width, static_cast<std::ptrdiff_t>(depth), taps,
                static_cast<std::ptrdiff_t>(c.kernel_width), 1},
               packed);
  if (is_product(c)) {
    run_product(kernels, c.images * c.height * c.width, c.channels, x, packed, out);
  } else {
    run_walk(kernels, forward_walk(c), x, packed, out, packed + aligned_floats(packed_floats(c.outputs, depth, kernels.lanes)));
  }
  if (far) kernels.end_streams();
}

void convolve_floats_input_gradient(Isa isa, const FloatConvolution& c, const float* y_gradient, const float* w,
                                    const float* added, float* x_gradient, std::uint8_t* scratch) noexcept {
  const TrainingKernels& kernels = training_kernels(isa);
  const std::size_t taps = c.kernel_height * c.kernel_width;
  float* const packed = as_floats(scratch);
  const bool far = streams(kernels, x_gradient, c.channels, c.images * c.height * c.width);
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
                        c.stride_width * c.channels,
                        far};
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
      if (is_product(c)) {
        run_product(kernels, c.images * c.height * c.width, c.outputs, y_gradient, packed, out);
        continue;
      }
      const std::size_t depth = high * wide * c.outputs;
      run_walk(kernels, walk, y_gradient, packed, out,
               packed + aligned_floats(packed_floats(c.channels, depth, kernels.lanes)));
    }
  }
  if (far) kernels.end_streams();
}

}  // namespace tritforge
