// Integer convolution and matrix product over NHWC, the entry for everything above the kernels (addon, ONNX Runtime operators).
//
//   y[b, oy, ox, oc] = stage( Σ_{ky, kx, ic} (x[b, oy·sh + ky·dh − pt, ox·sw + kx·dw − pl, g·depth + ic] − z) · w[oc, ic, ky, kx] )
//
// with g the group of oc, and pixels outside of the image read as z. A matrix product [M, K] · [N, K]ᵀ is the convolution 1×1 over
// an image of M × 1 pixels with K channels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tritforge/cpu.h"
#include "tritforge/output_stage.h"
#include "tritforge/packed_weights.h"
#include "tritforge/parallel.h"
#include "tritforge/status.h"

namespace tritforge {

// Image and strides; kernel size, channels and groups come with the weights.
struct ConvolutionGeometry {
  std::size_t batch, height, width;
  std::size_t stride_height, stride_width;
  std::size_t dilation_height, dilation_width;
  std::size_t pad_top, pad_left, pad_bottom, pad_right;
};

// M rows of K values as an image.
constexpr ConvolutionGeometry matrix_geometry(std::size_t rows) {
  return {1, rows, 1, 1, 1, 1, 1, 0, 0, 0, 0};
}

constexpr std::size_t output_extent(std::size_t input, std::size_t pads, std::size_t kernel, std::size_t dilation,
                                    std::size_t stride) {
  const std::size_t window = (kernel - 1) * dilation + 1;
  return input + pads < window ? 0 : (input + pads - window) / stride + 1;
}

constexpr std::size_t output_height(const ConvolutionGeometry& g, const WeightShape& w) {
  return output_extent(g.height, g.pad_top + g.pad_bottom, w.kernel_height, g.dilation_height, g.stride_height);
}

constexpr std::size_t output_width(const ConvolutionGeometry& g, const WeightShape& w) {
  return output_extent(g.width, g.pad_left + g.pad_right, w.kernel_width, g.dilation_width, g.stride_width);
}

struct ConvolutionInput {
  const std::uint8_t* values;  // [batch, height, width, groups · depth]
  std::uint8_t zero_point;
  std::uint8_t max_code;       // promise of the caller: no value is larger. Table kernels need 15 (table27) or 3 (table64)
};

// What one layout's kernels on one instruction set offer. Functions may be called from several threads at once on the same packed
// weights; `scratch` belongs to the call and is aligned to 64 bytes.
struct ConvolutionKernel {
  const char* name;  // such as "u8_dot8__avx512"
  Isa isa;
  Layout layout;
  // Bytes of scratch for a call with `threads` threads.
  std::size_t (*scratch_bytes)(const PackedWeights& weights, const ConvolutionGeometry& geometry, std::size_t threads) noexcept;
  Status (*run)(const PackedWeights& weights, const ConvolutionGeometry& geometry, const ConvolutionInput& input,
                const OutputStage& stage, void* output, std::uint8_t* scratch, const Parallel& parallel) noexcept;
};

// The kernel of a layout on an instruction set, or null where there is none.
const ConvolutionKernel* convolution_kernel(Layout layout, Isa isa) noexcept;

// The layout that is expected to be fastest on `isa` for these weights, a rough number of output pixels per call and the promise
// about codes; every answer has a kernel on `isa` that supports the weights.
Layout choose_layout(Isa isa, const Weights& weights, std::size_t output_pixels, std::uint8_t max_code) noexcept;

// Checks everything but the contents of memory, then runs. `output` is uint8, int32 or float as the stage says,
// [batch, OH, OW, OC].
Status convolve(const ConvolutionKernel& kernel, const PackedWeights& weights, const ConvolutionGeometry& geometry,
                const ConvolutionInput& input, const OutputStage& stage, void* output, std::uint8_t* scratch,
                const Parallel& parallel) noexcept;

}  // namespace tritforge
