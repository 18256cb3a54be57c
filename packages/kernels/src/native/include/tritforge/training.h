// float32 arithmetic of training steps: convolutions with their gradients, and batch normalization with its own. Images are NHWC,
// weights [M, C, KH, KW] as ONNX has them. One thread; sums are taken in a fixed order for each instruction set, so that the same
// numbers give the same bits. Sizes are positive; who calls has checked them, and that products fit.
//
//   Y[n,oy,ox,m]  = bias[m] + Σ X[n, oy·stride + ky − pad, ox·stride + kx − pad, c] · W[m,c,ky,kx]
//   X̄            = the same map transposed, of Ȳ
//   W̄[m,c,ky,kx]  = Σ Ȳ[n,oy,ox,m] · X[n, oy·stride + ky − pad, ox·stride + kx − pad, c]
#pragma once

#include <cstddef>
#include <cstdint>

#include "tritforge/cpu.h"

namespace tritforge {

struct FloatConvolution {
  std::size_t images, height, width, channels;         // X
  std::size_t output_height, output_width, outputs;    // Y
  std::size_t kernel_height, kernel_width;
  std::size_t stride_height, stride_width;
  std::size_t pad_top, pad_left;  // those behind follow from the sizes of Y
  bool is_depthwise = false;      // each channel for itself: M = C, weights [C, 1, KH, KW]
};

// Memory for any of the three, aligned to 64 bytes by the caller.
std::size_t float_convolution_scratch_bytes(const FloatConvolution& convolution) noexcept;

// @param bias [M] or null
void convolve_floats(Isa isa, const FloatConvolution& convolution, const float* x, const float* w, const float* bias, float* y,
                     std::uint8_t* scratch) noexcept;

// @param added of the shape of X, added to the result; or null
void convolve_floats_input_gradient(Isa isa, const FloatConvolution& convolution, const float* y_gradient, const float* w,
                                    const float* added, float* x_gradient, std::uint8_t* scratch) noexcept;

void convolve_floats_weight_gradient(Isa isa, const FloatConvolution& convolution, const float* x, const float* y_gradient,
                                     float* w_gradient, std::uint8_t* scratch) noexcept;

// Largest elements of windows. Each window has an element of the image, and none begins in front of the padding.
struct FloatPool {
  std::size_t images, height, width, channels;    // X
  std::size_t output_height, output_width;
  std::size_t kernel_height, kernel_width;
  std::size_t stride_height, stride_width;
  std::size_t pad_top, pad_left;
};

void pool_largest(Isa isa, const FloatPool& pool, const float* x, float* y) noexcept;

// The gradient of each window goes to its first largest element.
void pool_largest_gradient(Isa isa, const FloatPool& pool, const float* y_gradient, const float* x, const float* y,
                           float* x_gradient) noexcept;

// What quantization makes of floats:  c = min(max(x, low), high),  y = s · min(max(round(c / s), least), most), to the nearest, to even.
struct FloatQuantization {
  float low, high, scale;
  float least, most;  // codes less the zero point
};

void quantize_floats(Isa isa, const FloatQuantization& quantization, std::size_t count, const float* x, float* y) noexcept;

// Straight through: rounding counts as the identity.
//
//   X̄ = Ȳ where x = c,   low̄ = Σ Ȳ where x < c,   high̄ = Σ Ȳ where x > c,   s̄ = Σ Ȳ · (y − c) / s
void quantize_floats_gradient(Isa isa, const FloatQuantization& quantization, std::size_t count, const float* y_gradient,
                              const float* x, float* x_gradient, float* low, float* high, float* scale) noexcept;

// Normalization of `pixels` × `channels` by the statistics of each channel.
struct BatchNormalization {
  std::size_t pixels, channels;
  float epsilon;
  bool rectifies;  // y = max(0, …)
};

// r = 1 / √(variance + ε);  y = (x − mean) · r · scale + bias (+ added), rectified or not.
// @param added in the shape of x, or null
// @param mean, variance, reciprocal [channels], are written; the variance is that of the whole batch, not an estimate from a sample
// @param scratch of batch_normalization_scratch_bytes
void normalize_batch(Isa isa, const BatchNormalization& normalization, const float* x, const float* added, const float* scale,
                     const float* bias, float* y, float* mean, float* variance, float* reciprocal, std::uint8_t* scratch) noexcept;

// As normalize_batch, by statistics that are given.
void normalize_channels(Isa isa, const BatchNormalization& normalization, const float* x, const float* added, const float* scale,
                        const float* bias, const float* mean, const float* variance, float* y, float* reciprocal,
                        std::uint8_t* scratch) noexcept;

// What a normalization was given and gave, and the gradient of y.
struct BatchNormalizationGradient {
  const float* y_gradient;
  const float* x;
  const float* y;     // looked at where it rectifies; where nothing was added it may be null, and is computed anew
  const float* bias;  // looked at where y is not there
  const float* scale;
  const float* mean;
  const float* reciprocal;
  bool is_given = false;  // the statistics do not depend on x
};

// @param added_gradient the gradient of what was added, written where it rectifies; null where nothing was added
void normalize_batch_gradient(Isa isa, const BatchNormalization& normalization, const BatchNormalizationGradient& given,
                              float* x_gradient, float* scale_gradient, float* bias_gradient, float* added_gradient,
                              std::uint8_t* scratch) noexcept;

std::size_t batch_normalization_scratch_bytes(std::size_t channels) noexcept;

}  // namespace tritforge
