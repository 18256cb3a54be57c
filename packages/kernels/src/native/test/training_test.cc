// Compares convolutions of training, pools and batch normalization with their gradients on every instruction set with their formulas in float64, on
// random shapes, in buffers without a spare byte; prints the first difference and exits with 1.
//
//     training_test CASES SEED
#include "tritforge/training.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

#include "check.h"

namespace {

using namespace tritforge;
using test::Block;
using test::Random;

// Rounding of float32 over the longest sums here, relative to the largest result.
constexpr double kTolerance = 2e-5;

struct Floats {
  explicit Floats(std::size_t count) : block(count * sizeof(float)), size(count) { std::memset(block.data(), 0xff, block.size()); }
  float* data() { return reinterpret_cast<float*>(block.data()); }
  float& operator[](std::size_t i) { return data()[i]; }

  Block block;
  std::size_t size;
};

struct RandomFloats : Floats {
  RandomFloats(Random& random, std::size_t count, float middle = 0) : Floats(count) {
    for (std::size_t i = 0; i < count; ++i) data()[i] = middle + static_cast<float>(static_cast<std::int32_t>(random())) / 2.2e9f;
  }
};

std::size_t between(Random& random, std::size_t low, std::size_t high) { return low + random() % (high - low + 1); }

// @param largest of what was added up, where that may cancel
bool is_near(const char* what, Isa isa, Floats& actual, const std::vector<double>& expected, double largest = 1e-2) {
  double worst = 0;
  for (const double value : expected) largest = std::fmax(largest, std::fabs(value));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double error = std::fabs(static_cast<double>(actual[i]) - expected[i]);
    worst = std::isnan(error) ? INFINITY : std::fmax(worst, error);
  }
  if (worst <= kTolerance * largest) return true;
  std::printf("%s: %s is off by %g where values are up to %g\n", isa_name(isa), what, worst, largest);
  return false;
}

// Shapes with more products than that take long in float64.
constexpr std::size_t kMostProducts = 300'000;

std::size_t products_of(const FloatConvolution& c) {
  return c.images * c.output_height * c.output_width * c.outputs * c.kernel_height * c.kernel_width * c.channels;
}

FloatConvolution any_convolution(Random& random) {
  FloatConvolution c{};
  const bool is_product = random() % 4 == 0;
  const auto kernel = [&] { return is_product ? 1 : between(random, 1, 4); };
  const auto stride = [&] { return is_product ? 1 : between(random, 1, 3); };
  c.kernel_height = kernel();
  c.kernel_width = kernel();
  c.stride_height = stride();
  c.stride_width = stride();
  c.images = between(random, 1, 3);
  // Now and then so many that rows fall into one set of the cache, or bands have a row each.
  c.channels = random() % 8 == 0 ? 512 : between(random, 1, 40);
  // And so many that panels are packed.
  c.outputs = random() % 8 == 0 ? between(random, 128, 150) : between(random, 1, 70);
  c.height = c.kernel_height + random() % 12;
  c.width = c.kernel_width + random() % 40;
  c.is_depthwise = random() % 3 == 0;
  if (c.is_depthwise) c.channels = c.outputs;
  c.pad_top = random() % c.kernel_height;
  c.pad_left = random() % c.kernel_width;
  c.output_height = (c.height + c.pad_top + random() % c.kernel_height - c.kernel_height) / c.stride_height + 1;
  c.output_width = (c.width + c.pad_left + random() % c.kernel_width - c.kernel_width) / c.stride_width + 1;
  return c;
}

FloatConvolution random_convolution(Random& random) {
  for (;;) {
    const FloatConvolution c = any_convolution(random);
    if (products_of(c) <= kMostProducts) return c;
  }
}

// Calls work(y, x, w) with the indices of every product of the convolution.
template <typename Work>
void each_product(const FloatConvolution& c, Work work) {
  for (std::size_t y = 0; y < c.images * c.output_height * c.output_width * c.outputs; ++y) {
    const std::size_t m = y % c.outputs, ox = y / c.outputs % c.output_width;
    const std::size_t oy = y / c.outputs / c.output_width % c.output_height, n = y / c.outputs / c.output_width / c.output_height;
    for (std::size_t tap = 0; tap < c.kernel_height * c.kernel_width; ++tap) {
      const std::size_t ky = tap / c.kernel_width, kx = tap % c.kernel_width;
      // Wraps in front of the image.
      const std::size_t iy = oy * c.stride_height + ky - c.pad_top, ix = ox * c.stride_width + kx - c.pad_left;
      if (iy >= c.height || ix >= c.width) continue;
      const std::size_t x = ((n * c.height + iy) * c.width + ix) * c.channels;
      if (c.is_depthwise) {
        work(y, x + m, (m * c.kernel_height + ky) * c.kernel_width + kx);
        continue;
      }
      for (std::size_t channel = 0; channel < c.channels; ++channel) {
        work(y, x + channel, ((m * c.channels + channel) * c.kernel_height + ky) * c.kernel_width + kx);
      }
    }
  }
}

bool check_convolution(Random& random, Isa isa, const FloatConvolution& c) {
  const std::size_t of_x = c.images * c.height * c.width * c.channels;
  const std::size_t of_y = c.images * c.output_height * c.output_width * c.outputs;
  const std::size_t of_w = c.outputs * (c.is_depthwise ? 1 : c.channels) * c.kernel_height * c.kernel_width;
  RandomFloats x(random, of_x), w(random, of_w), bias(random, c.outputs), dy(random, of_y), added(random, of_x);
  Floats y(of_y), dx(of_x), dw(of_w);
  const bool has_bias = random() % 2 == 0, adds = random() % 2 == 0;
  std::vector<double> expected_y(of_y), expected_dx(of_x), expected_dw(of_w);
  for (std::size_t i = 0; i < of_y; ++i) expected_y[i] = has_bias ? bias[i % c.outputs] : 0;
  for (std::size_t i = 0; i < of_x; ++i) expected_dx[i] = adds ? added[i] : 0;
  each_product(c, [&](std::size_t iy, std::size_t ix, std::size_t iw) {
    expected_y[iy] += static_cast<double>(x[ix]) * static_cast<double>(w[iw]);
    expected_dx[ix] += static_cast<double>(dy[iy]) * static_cast<double>(w[iw]);
    expected_dw[iw] += static_cast<double>(dy[iy]) * static_cast<double>(x[ix]);
  });
  Block scratch(float_convolution_scratch_bytes(c));
  std::memset(scratch.data(), 0xff, scratch.size());
  convolve_floats(isa, c, x.data(), w.data(), has_bias ? bias.data() : nullptr, y.data(), scratch.data());
  convolve_floats_input_gradient(isa, c, dy.data(), w.data(), adds ? added.data() : nullptr, dx.data(), scratch.data());
  convolve_floats_weight_gradient(isa, c, x.data(), dy.data(), dw.data(), scratch.data());
  if (is_near("the output", isa, y, expected_y) && is_near("the input's gradient", isa, dx, expected_dx) &&
      is_near("the weight's gradient", isa, dw, expected_dw)) {
    return true;
  }
  std::printf("%zu images %zu x %zu x %zu, kernel %zu x %zu, strides %zu %zu, pads %zu %zu, to %zu x %zu x %zu\n", c.images,
              c.height, c.width, c.channels, c.kernel_height, c.kernel_width, c.stride_height, c.stride_width, c.pad_top,
              c.pad_left, c.output_height, c.output_width, c.outputs);
  return false;
}

bool check_pool(Random& random, Isa isa) {
  FloatPool p{};
  p.images = between(random, 1, 2);
  p.channels = between(random, 1, 40);
  p.kernel_height = between(random, 1, 4);
  p.kernel_width = between(random, 1, 4);
  p.stride_height = between(random, 1, 4);
  p.stride_width = between(random, 1, 4);
  p.height = between(random, 1, 9);
  p.width = between(random, 1, 9);
  p.pad_top = random() % p.kernel_height;
  p.pad_left = random() % p.kernel_width;
  p.output_height = between(random, 1, (p.height + p.pad_top - 1) / p.stride_height + 1);
  p.output_width = between(random, 1, (p.width + p.pad_left - 1) / p.stride_width + 1);
  const std::size_t of_x = p.images * p.height * p.width * p.channels;
  const std::size_t of_y = p.images * p.output_height * p.output_width * p.channels;
  RandomFloats x(random, of_x), dy(random, of_y);
  // Equals are common in quantized images.
  for (std::size_t i = 0; i < of_x; ++i) x[i] = std::round(4 * x[i]);
  Floats y(of_y), dx(of_x);
  std::vector<double> expected_y(of_y, -INFINITY), expected_dx(of_x);
  for (std::size_t i = 0; i < of_y; ++i) {
    const std::size_t c = i % p.channels, ox = i / p.channels % p.output_width;
    const std::size_t oy = i / p.channels / p.output_width % p.output_height, n = i / p.channels / p.output_width / p.output_height;
    std::size_t place = 0;
    for (std::size_t tap = 0; tap < p.kernel_height * p.kernel_width; ++tap) {
      const std::size_t iy = oy * p.stride_height + tap / p.kernel_width - p.pad_top;
      const std::size_t ix = ox * p.stride_width + tap % p.kernel_width - p.pad_left;
      if (iy >= p.height || ix >= p.width) continue;
      const std::size_t at = ((n * p.height + iy) * p.width + ix) * p.channels + c;
      if (static_cast<double>(x[at]) <= expected_y[i]) continue;
      expected_y[i] = static_cast<double>(x[at]);
      place = at;
    }
    expected_dx[place] += static_cast<double>(dy[i]);
  }
  pool_largest(isa, p, x.data(), y.data());
  pool_largest_gradient(isa, p, dy.data(), x.data(), y.data(), dx.data());
  return is_near("the largest", isa, y, expected_y) && is_near("the gradient of a pool", isa, dx, expected_dx);
}

bool check_quantization(Random& random, Isa isa) {
  const std::size_t count = between(random, 1, 20000);
  RandomFloats x(random, count), dy(random, count);
  const FloatQuantization q{-0.3f, random() % 2 == 0 ? 0.55f : 2.0f, 0.05f, -7, 11};
  for (std::size_t i = 0; i < count; i += 3) x[i] = std::round(x[i] / q.scale) * q.scale + q.scale / 2;
  Floats y(count), dx(count), sums(3);
  std::vector<double> expected_y(count), expected_dx(count), expected_sums(3);
  for (std::size_t i = 0; i < count; ++i) {
    const float c = std::fmin(std::fmax(x[i], q.low), q.high);
    // As QuantizeLinear has it: to the nearest, to even.
    expected_y[i] = static_cast<double>(std::fmin(std::fmax(std::nearbyint(c / q.scale), q.least), q.most) * q.scale);
    expected_dx[i] = x[i] == c ? static_cast<double>(dy[i]) : 0;
    expected_sums[x[i] < c ? 0 : 1] += x[i] == c ? 0 : static_cast<double>(dy[i]);
    expected_sums[2] += static_cast<double>(dy[i]) * (expected_y[i] - static_cast<double>(c)) / static_cast<double>(q.scale);
  }
  quantize_floats(isa, q, count, x.data(), y.data());
  quantize_floats_gradient(isa, q, count, dy.data(), x.data(), dx.data(), sums.data(), sums.data() + 1, sums.data() + 2);
  for (std::size_t i = 0; i < count; ++i) {
    if (static_cast<double>(y[i]) == expected_y[i]) continue;
    std::printf("%s: %g is quantized to %g, not %g\n", isa_name(isa), static_cast<double>(x[i]), static_cast<double>(y[i]), expected_y[i]);
    return false;
  }
  return is_near("the gradient of what is quantized", isa, dx, expected_dx) &&
         is_near("the gradients of low, high and scale", isa, sums, expected_sums, 4);
}

bool check_normalization(Random& random, Isa isa, std::size_t pixels, std::size_t channels) {
  const bool rectifies = random() % 2 == 0, adds = random() % 2 == 0, is_given = random() % 2 == 0;
  const std::size_t count = pixels * channels;
  // Far from zero: what is squared must not be.
  RandomFloats x(random, count, random() % 2 == 0 ? 50 : 0), added(random, count), dy(random, count);
  RandomFloats scale(random, channels, 1.5f), bias(random, channels);
  Floats y(count), dx(count), of_added(count), mean(channels), variance(channels), reciprocal(channels), of_scale(channels),
      of_bias(channels);
  const BatchNormalization n{pixels, channels, 1e-5f, rectifies};
  Block scratch(batch_normalization_scratch_bytes(channels));
  normalize_batch(isa, n, x.data(), adds ? added.data() : nullptr, scale.data(), bias.data(), y.data(), mean.data(),
                  variance.data(), reciprocal.data(), scratch.data());
  if (is_given) {
    // Other statistics than those of the batch.
    for (std::size_t c = 0; c < channels; ++c) mean[c] += 0.1f;
    for (std::size_t c = 0; c < channels; ++c) variance[c] += 0.5f;
    normalize_channels(isa, n, x.data(), adds ? added.data() : nullptr, scale.data(), bias.data(), mean.data(), variance.data(),
                       y.data(), reciprocal.data(), scratch.data());
  }
  normalize_batch_gradient(isa, n, {dy.data(), x.data(), adds || random() % 2 == 0 ? y.data() : nullptr, bias.data(), scale.data(), mean.data(),
                            reciprocal.data(), is_given}, dx.data(),
                           of_scale.data(), of_bias.data(), adds && rectifies ? of_added.data() : nullptr, scratch.data());
  std::vector<double> means(channels), variances(channels), outputs(count), gradients(count), scales(channels), biases(channels);
  std::vector<double> passed(count);
  for (std::size_t c = 0; c < channels; ++c) {
    const auto at = [&](std::size_t p) { return p * channels + c; };
    for (std::size_t p = 0; p < pixels; ++p) means[c] += static_cast<double>(x[at(p)]) / static_cast<double>(pixels);
    for (std::size_t p = 0; p < pixels; ++p) variances[c] += std::pow(static_cast<double>(x[at(p)]) - means[c], 2);
    variances[c] /= static_cast<double>(pixels);
    if (is_given) {
      means[c] = static_cast<double>(mean[c]);
      variances[c] = static_cast<double>(variance[c]);
    }
    const double r = 1 / std::sqrt(variances[c] + static_cast<double>(n.epsilon));
    const auto normal = [&](std::size_t p) { return (static_cast<double>(x[at(p)]) - means[c]) * r; };
    for (std::size_t p = 0; p < pixels; ++p) {
      outputs[at(p)] = normal(p) * static_cast<double>(scale[c]) + static_cast<double>(bias[c]);
      if (adds) outputs[at(p)] += static_cast<double>(added[at(p)]);
      if (rectifies) outputs[at(p)] = std::fmax(outputs[at(p)], 0);
      // Where the sum is next to zero rounding decides.
      passed[at(p)] = rectifies && !(y[at(p)] > 0) ? 0 : static_cast<double>(dy[at(p)]);
      biases[c] += passed[at(p)];
      scales[c] += passed[at(p)] * normal(p);
    }
    const auto size = static_cast<double>(pixels);
    const double share = is_given ? 0 : 1 / size;
    for (std::size_t p = 0; p < pixels; ++p) {
      gradients[at(p)] = static_cast<double>(scale[c]) * r * (passed[at(p)] - share * (biases[c] + normal(p) * scales[c]));
    }
  }
  // Few pixels make reciprocals of small deviations, which rounding of the mean reaches.
  return is_near("the mean", isa, mean, means) && is_near("the variance", isa, variance, variances) &&
         (pixels < 8 || (is_near("the normalized", isa, y, outputs) && is_near("the gradient of x", isa, dx, gradients) &&
                         is_near("the gradient of the scale", isa, of_scale, scales, 4))) &&
         is_near("the gradient of the bias", isa, of_bias, biases, 4) &&
         (!(adds && rectifies) || is_near("the gradient of what is added", isa, of_added, passed));
}

bool check_any_normalization(Random& random, Isa isa) {
  return check_normalization(random, isa, between(random, 2, 400), random() % 16 == 0 ? 2100 : between(random, 1, 70));
}

// So large that outputs are written past the caches.
bool check_large(Random& random, Isa isa) {
  constexpr std::size_t kSide = 256, kImages = 2, kChannels = 16;
  const auto pixelwise = [](std::size_t channels, std::size_t outputs) {
    return FloatConvolution{kImages, kSide, kSide, channels, kSide, kSide, outputs, 1, 1, 1, 1, 0, 0};
  };
  return check_convolution(random, isa, pixelwise(1, kChannels)) && check_convolution(random, isa, pixelwise(kChannels, 1)) &&
         check_normalization(random, isa, kImages * kSide * kSide, kChannels);
}

template <typename Check>
bool on_each_isa(Check check) {
  for (const Isa isa : kAllIsas) {
    if (isa_is_built(isa) && cpu_has(isa) && !check(isa)) return false;
  }
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  Random random(static_cast<unsigned>(std::strtoul(arguments[2], nullptr, 10)));
  if (!on_each_isa([&](Isa isa) { return check_large(random, isa); })) return 1;
  for (long cases = std::strtol(arguments[1], nullptr, 10); cases > 0; --cases) {
    const FloatConvolution c = random_convolution(random);
    const bool right = on_each_isa([&](Isa isa) {
      return check_convolution(random, isa, c) && check_pool(random, isa) && check_quantization(random, isa) &&
             check_any_normalization(random, isa);
    });
    if (!right) return 1;
  }
  return 0;
}
