#include "own_candidates.h"

#include <cmath>
#include <stdexcept>
#include <string>

#include "buffer.h"
#include "maddubs_gemm.h"
#include "own_weights.h"
#include "tritforge/convolution.h"
#include "tritforge/gemv.h"
#include "tritforge/reference_convolution.h"

namespace bench {
namespace {

using namespace tritforge;

constexpr std::size_t kCheckedOutputs = 200;
constexpr std::size_t kFewRows = 16;  // up to which float32 rows are quantized on the way
constexpr float kMultiplier = 1e-4f;
constexpr double kFloatTolerance = 1e-4;

// An integer layer: the same call for a matrix product and for a convolution.
struct Layer {
  ConvolutionGeometry geometry;
  WeightShape weights;
  OutputKind output;  // uint8 for a convolution, as in a network; int32 for a matrix product, as MatMulInteger
};

Layer layer_of(const Shape& shape) {
  if (shape.kind == Kind::gemm) {
    return {matrix_geometry(shape.gemm.m), {shape.gemm.n, shape.gemm.k, 1, 1, 1}, OutputKind::s32};
  }
  const Convolution& c = shape.convolution;
  return {{1, c.height, c.width, c.stride, c.stride, 1, 1, c.pad, c.pad, c.pad, c.pad},
          {c.output_channels, c.input_channels / c.groups, c.kernel, c.kernel, c.groups},
          OutputKind::u8};
}

std::size_t output_pixels(const Layer& layer) {
  return output_height(layer.geometry, layer.weights) * output_width(layer.geometry, layer.weights);
}

// Everything that a call needs, kept alive with it.
struct Call {
  const ConvolutionKernel* kernel;
  Layer layer;
  OwnedPack weights;
  Buffer<std::uint8_t> input, scratch, output;
  Buffer<std::int32_t> bias;
  Buffer<float> multiplier;
  std::uint8_t max_code;

  OutputStage stage() const { return {layer.output, bias.get(), multiplier.get(), 0, 255, {}}; }

  void run() const {
    check(convolve(*kernel, weights.packed, layer.geometry, {input.get(), 0, max_code}, stage(), output.get(), scratch.get(),
                   kSerial));
  }
};

// Σ x·w of one output by the definition.
std::int32_t plain_sum(const Layer& layer, const std::int8_t* values, const std::uint8_t* input, std::size_t pixel,
                       std::size_t channel) {
  const ConvolutionGeometry& g = layer.geometry;
  const WeightShape& w = layer.weights;
  const std::size_t columns = output_width(g, w), first = channel / (w.output_channels / w.groups) * w.depth;
  std::int32_t sum = 0;
  for (std::size_t ky = 0; ky < w.kernel_height; ++ky) {
    for (std::size_t kx = 0; kx < w.kernel_width; ++kx) {
      const std::size_t y = pixel / columns * g.stride_height + ky - g.pad_top;  // wraps where negative: too large
      const std::size_t x = pixel % columns * g.stride_width + kx - g.pad_left;
      if (y >= g.height || x >= g.width) continue;
      const std::uint8_t* source = input + (y * g.width + x) * w.groups * w.depth + first;
      for (std::size_t i = 0; i < w.depth; ++i) {
        sum += source[i] * values[((channel * w.depth + i) * w.kernel_height + ky) * w.kernel_width + kx];
      }
    }
  }
  return sum;
}

void check_outputs(const Call& call, const OwnedWeights& weights) {
  const auto values = decoded(weights);
  const std::size_t channels = call.layer.weights.output_channels, pixels = output_pixels(call.layer);
  const std::size_t bytes = call.layer.output == OutputKind::u8 ? 1 : 4;
  const auto expected = make_buffer<std::uint8_t>(channels * pixels * bytes);
  Random random(6);
  for (std::size_t i = 0; i < kCheckedOutputs; ++i) {
    const std::size_t pixel = random.next() % pixels, channel = random.next() % channels;
    const std::size_t index = pixel * channels + channel;
    const std::int32_t sum = plain_sum(call.layer, values.get(), call.input.get(), pixel, channel);
    store_output__reference(call.stage(), sum, channel, index, expected.get());
    for (std::size_t b = index * bytes; b < (index + 1) * bytes; ++b) {
      if (call.output[b] != expected[b]) throw std::runtime_error(std::string(call.kernel->name) + " computes wrong results");
    }
  }
}

Candidate integer_candidate(const std::string& name, const Layer& layer, const OwnedWeights& weights,
                            std::uint8_t max_code, Layout layout, Isa isa) {
  const std::size_t pixels = output_pixels(layer), channels = layer.weights.output_channels;
  const ConvolutionKernel* kernel = convolution_kernel(layout, isa);
  // The reference may stand in for a kernel that is not written; timing it says nothing.
  if (kernel == nullptr || kernel->isa != isa) throw std::runtime_error(std::string("no kernel for ") + isa_name(isa));
  const std::size_t inputs = layer.geometry.height * layer.geometry.width * layer.weights.groups * layer.weights.depth;
  Call call{kernel, layer, pack(layout, weights), random_codes(inputs, max_code, 7), {}, {}, {}, {}, max_code};
  call.scratch = make_buffer<std::uint8_t>(kernel->scratch_bytes(call.weights.packed, layer.geometry, 1));
  call.output = make_buffer<std::uint8_t>(pixels * channels * (layer.output == OutputKind::u8 ? 1 : 4));
  call.bias = make_buffer<std::int32_t>(channels);
  call.multiplier = make_buffer<float>(channels);
  for (std::size_t i = 0; i < channels; ++i) {
    call.bias[i] = static_cast<std::int32_t>(i);
    call.multiplier[i] = kMultiplier;
  }
  call.run();
  check_outputs(call, weights);
  return {name, kernel->name, [call] { call.run(); }};
}

// float32 in and out, as MatMulNBits.
Candidate dynamic_candidate(const std::string& name, const Gemm& gemm, const OwnedWeights& weights, Isa isa) {
  const DynamicGemv* kernel = dynamic_gemv(isa);
  if (kernel == nullptr || kernel->isa != isa) throw std::runtime_error(std::string("no kernel for ") + isa_name(isa));
  const OwnedPack packed = pack(Layout::gemv2, weights);
  const auto x = random_floats(gemm.m * gemm.k, 8), scales = random_floats(gemm.n, 9);
  const auto y = make_buffer<float>(gemm.m * gemm.n);
  const auto scratch = make_buffer<std::uint8_t>(kernel->scratch_bytes(packed.packed, gemm.m, 1));
  const auto run = [=] {
    check(kernel->run(packed.packed, x.get(), gemm.m, scales.get(), nullptr, y.get(), scratch.get(), kSerial));
  };
  run();
  const auto values = decoded(weights);
  float largest = 0;
  for (std::size_t k = 0; k < gemm.k; ++k) largest = std::fmax(largest, std::fabs(x[k]));
  const float step = largest / 127;
  for (std::size_t n = 0; n < gemm.n; n += gemm.n / kFewRows) {
    double sum = 0;
    for (std::size_t k = 0; k < gemm.k; ++k) sum += std::nearbyint(x[k] / step) * values[n * gemm.k + k];
    const double expected = static_cast<double>(step) * static_cast<double>(scales[n]) * sum;
    if (!(std::fabs(static_cast<double>(y[n]) - expected) <= kFloatTolerance * std::fabs(expected))) {
      throw std::runtime_error(std::string(kernel->name) + " computes wrong results");
    }
  }
  return {name, kernel->name, run};
}

// The baseline; see maddubs_gemm.h.
Candidate maddubs_candidate(const Layer& layer, const OwnedWeights& weights) {
  const std::size_t m = layer.geometry.height, k = layer.weights.depth, n = layer.weights.output_channels;
  const auto values = decoded(weights);
  const auto packed = make_buffer<std::int8_t>(maddubs_packed_bytes(k, n));
  maddubs_pack(values.get(), k, n, packed.get());
  const auto input = random_codes(m * k, 255, 7);
  const auto output = make_buffer<std::int32_t>(m * n);
  const auto run = [=] { u8_s32_s8_gemm_4x16c4__avx2_maddubs(input.get(), packed.get(), m, k, n, output.get()); };
  run();
  Random random(6);
  for (std::size_t i = 0; i < kCheckedOutputs; ++i) {
    const std::size_t row = random.next() % m, channel = random.next() % n;
    if (output[row * n + channel] != plain_sum(layer, values.get(), input.get(), row, channel)) {
      throw std::runtime_error("the maddubs kernel computes wrong results");
    }
  }
  return {"maddubs", "u8_s32_s8_gemm_4x16c4__avx2_maddubs", run};
}

struct NamedLayout {
  Layout layout;
  const char* name;
  std::uint8_t max_code;  // of the activations that its kernels take
};

constexpr NamedLayout kLayouts[] = {{Layout::dot8, "dot8", 255},      {Layout::dot8t, "dot8t", 255},
                                    {Layout::table27, "table27", 15}, {Layout::table64, "table64", 3},
                                    {Layout::gemv2, "gemv2", 255},    {Layout::depthwise, "depthwise", 255}};

template <typename Make>
void add(Lineup& lineup, const std::string& name, const Make& make) {
  try {
    lineup.candidates.push_back(make(name));
  } catch (const std::runtime_error& error) {
    lineup.absences.push_back({name, error.what()});
  }
}

}  // namespace

void add_own_candidates(const Shape& shape, const OwnOptions& options, Lineup& lineup) {
  const Layer layer = layer_of(shape);
  const Isa isa = options.isa;
  const auto integers = [&](const std::string& column, const OwnedWeights& weights, std::uint8_t max_code) {
    const auto with = [&](Layout layout) {
      return [&, layout](const std::string& name) {
        return integer_candidate(name, layer, weights, max_code, layout, isa);
      };
    };
    const Layout chosen = choose_layout(isa, weights.weights, output_pixels(layer), max_code);
    add(lineup, column, with(chosen));
    if (!options.every_layout) return;
    for (const NamedLayout& each : kLayouts) {
      const bool can = each.layout != chosen && max_code <= each.max_code && packed_bytes(each.layout, weights.weights) > 0 &&
                       convolution_kernel(each.layout, isa) != nullptr;
      if (can) add(lineup, column + " · " + each.name, with(each.layout));
    }
  };
  if (shape.ternary) {
    const OwnedWeights ternary = random_ternary(layer.weights, options.group_size);
    integers("ternary × 8 bit", ternary, 255);
    integers("ternary × 4 bit", ternary, 15);
    if (shape.kind == Kind::gemm && shape.gemm.m <= kFewRows) {
      add(lineup, "ternary, fp32 in and out",
          [&](const std::string& name) { return dynamic_candidate(name, shape.gemm, ternary, isa); });
    }
    integers("2 × 2 bit", random_uniform2(layer.weights), 3);
    if (shape.kind == Kind::gemm && isa == Isa::avx2) {
      add(lineup, "maddubs", [&](const std::string&) { return maddubs_candidate(layer, ternary); });
    }
  }
  integers("int8", random_int8(layer.weights), 255);
}

}  // namespace bench
