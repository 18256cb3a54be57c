#include "tritforge/reference_convolution.h"

#include "tritforge/requantize.h"

namespace tritforge {
namespace {

struct Pixel {
  std::size_t image, y, x;
};

// Sums of products fit in int32; with a bias they may not, and wrap around like everywhere else.
std::int32_t wrapping_sum(std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
}

// Position of the pixel under a tap, or false outside of the image.
bool locate(const ConvolutionGeometry& g, const Pixel& out, std::size_t ky, std::size_t kx, std::size_t* pixel) {
  const std::size_t y = out.y * g.stride_height + ky * g.dilation_height, x = out.x * g.stride_width + kx * g.dilation_width;
  if (y < g.pad_top || x < g.pad_left || y - g.pad_top >= g.height || x - g.pad_left >= g.width) return false;
  *pixel = (out.image * g.height + y - g.pad_top) * g.width + x - g.pad_left;
  return true;
}

std::int32_t sum_of_products(const WeightShape& s, const std::int8_t* values, const ConvolutionGeometry& g,
                             const ConvolutionInput& input, const Pixel& out, std::size_t oc) {
  const std::size_t channels = s.groups * s.depth, first = oc / (s.output_channels / s.groups) * s.depth;
  std::int32_t sum = 0;
  for (std::size_t ky = 0; ky < s.kernel_height; ++ky) {
    for (std::size_t kx = 0; kx < s.kernel_width; ++kx) {
      std::size_t pixel = 0;
      if (!locate(g, out, ky, kx, &pixel)) continue;
      for (std::size_t ic = 0; ic < s.depth; ++ic) {
        const std::int8_t weight = values[((oc * s.depth + ic) * s.kernel_height + ky) * s.kernel_width + kx];
        sum += (input.values[pixel * channels + first + ic] - input.zero_point) * weight;
      }
    }
  }
  return sum;
}

}  // namespace

void store_output__reference(const OutputStage& stage, std::int32_t accumulator, std::size_t channel, std::size_t index,
                             void* output) noexcept {
  if (stage.bias != nullptr) accumulator = wrapping_sum(accumulator, stage.bias[channel]);
  if (stage.kind == OutputKind::s32) {
    static_cast<std::int32_t*>(output)[index] = accumulator;
    return;
  }
  if (stage.kind == OutputKind::f32) {
    static_cast<float*>(output)[index] = static_cast<float>(accumulator) * stage.multiplier[channel];
    return;
  }
  std::uint8_t code = requantize(accumulator, stage.multiplier[channel], stage.zero_point);
  const Residual& r = stage.residual;
  if (r.values != nullptr) {
    const AddRequantization add =
        add_requantization(r.output_scale, stage.zero_point, r.scale, r.zero_point, r.sum_scale, r.sum_zero_point);
    code = requantize_add(code, r.values[index], add);
  }
  static_cast<std::uint8_t*>(output)[index] = code < stage.max_code ? code : stage.max_code;
}

void convolve__reference(const WeightShape& shape, const std::int8_t* values, const ConvolutionGeometry& geometry,
                         const ConvolutionInput& input, const OutputStage& stage, void* output) noexcept {
  const std::size_t oh = output_height(geometry, shape), ow = output_width(geometry, shape);
  std::size_t index = 0;
  for (Pixel out{0, 0, 0}; out.image < geometry.batch; ++out.image) {
    for (out.y = 0; out.y < oh; ++out.y) {
      for (out.x = 0; out.x < ow; ++out.x) {
        for (std::size_t oc = 0; oc < shape.output_channels; ++oc, ++index) {
          store_output__reference(stage, sum_of_products(shape, values, geometry, input, out, oc), oc, index, output);
        }
      }
    }
  }
}

}  // namespace tritforge
