// Weights of convolutions as tiles read them.
#include "training/packed_filters.h"

#include <cstring>

#include "training/bands.h"

namespace tritforge::training {
namespace {

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

}  // namespace

std::size_t block_vectors(const TrainingKernels& kernels, std::size_t outputs) {
  return outputs > kernels.lanes ? 2 : 1;
}

std::size_t packed_floats(std::size_t outputs, std::size_t depth, std::size_t lanes) {
  return ceil_div(outputs, lanes) * lanes * depth;
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

void pack_depthwise(const float* w, std::size_t channels, std::size_t taps, std::size_t high, std::size_t wide,
                    std::ptrdiff_t row, std::ptrdiff_t column, float* to) {
  for (std::size_t ky = 0; ky < high; ++ky) {
    for (std::size_t kx = 0; kx < wide; ++kx) {
      const float* const tap = w + static_cast<std::ptrdiff_t>(ky) * row + static_cast<std::ptrdiff_t>(kx) * column;
      for (std::size_t c = 0; c < channels; ++c) *to++ = tap[c * taps];
    }
  }
}

}  // namespace tritforge::training
