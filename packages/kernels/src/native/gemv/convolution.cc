// u8 activations: a 1×1 convolution as a product of its output pixels, a block of pixels at a time.
//
//   Σ (x − z)·w = Σ (x − 128)·w + (128 − z)·Σ w       x − 128 as int8
//               = Σ x·w − z·Σ w                       for methods that take unsigned rows
//
// Pixels outside of the image read as z.
#include <cstring>

#include "gemv/gemv_kernels.h"
#include "gemv/panels.h"

namespace tritforge {
namespace {

// Pixels whose activations are arranged at once: many enough to read the weights rarely, few enough to stay in the
// second cache.
constexpr std::size_t kMaxRows = 48;
constexpr std::uint8_t kSignBit = 0x80;

std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

std::size_t pixel_count(const PackedWeights& weights, const ConvolutionGeometry& g) {
  return g.batch * output_height(g, weights.shape) * output_width(g, weights.shape);
}

std::size_t scratch_bytes(const PackedWeights& weights, const ConvolutionGeometry& geometry, std::size_t) noexcept {
  const GemvPlan plan = gemv_plan(weights.shape, weights.group_size);
  return gemv_rows_bytes(plan, smaller(pixel_count(weights, geometry), kMaxRows)) + plan.depth;
}

struct Call {
  const PackedWeights& weights;
  const ConvolutionGeometry& geometry;
  const ConvolutionInput& input;
  const OutputStage& stage;
  const GemvKernels& kernels;
  const PreparedStage prepared;
  void* output;
  std::int32_t offset;  // times the column sums, completes a sum
  std::size_t first_pixel;
};

// The activations of an output pixel, or null outside of the image.
const std::uint8_t* activations(const Call& call, std::size_t pixel) {
  const ConvolutionGeometry& g = call.geometry;
  const std::size_t ow = output_width(g, call.weights.shape), oh = output_height(g, call.weights.shape);
  const std::size_t y = pixel / ow % oh * g.stride_height, x = pixel % ow * g.stride_width;
  if (y < g.pad_top || x < g.pad_left || y - g.pad_top >= g.height || x - g.pad_left >= g.width) return nullptr;
  const std::size_t at = (pixel / ow / oh * g.height + y - g.pad_top) * g.width + x - g.pad_left;
  return call.input.values + at * call.weights.shape.depth;
}

void center(const std::uint8_t* x, std::size_t depth, std::uint8_t zero_point, std::int8_t* centered) {
  if (x == nullptr) {
    std::memset(centered, zero_point ^ kSignBit, depth);
    return;
  }
  for (std::size_t k = 0; k < depth; ++k) centered[k] = static_cast<std::int8_t>(x[k] ^ kSignBit);
}

// The outputs of a panel, or what is left of it.
void finish_panel(const Call& call, const std::int32_t* sums, std::size_t row, std::size_t output, std::size_t count) {
  alignas(64) float multiplier[kGemvPanel];
  const std::size_t outputs = call.weights.shape.output_channels, index = (call.first_pixel + row) * outputs + output;
  OutputTile tile{&call.prepared,
                  call.stage.multiplier == nullptr ? nullptr : call.stage.multiplier + output,
                  call.prepared.adds ? call.stage.residual.values + index : nullptr,
                  static_cast<std::uint8_t*>(call.output) + index * element_bytes(call.stage.kind),
                  outputs,
                  count};
  if (tile.multiplier != nullptr && count < kGemvPanel) {  // kernels read whole vectors
    std::memcpy(multiplier, tile.multiplier, count * sizeof(float));
    std::memset(multiplier + count, 0, (kGemvPanel - count) * sizeof(float));
    tile.multiplier = multiplier;
  }
  const std::int32_t* const bias = call.stage.bias == nullptr ? nullptr : call.stage.bias + output;
  call.kernels.store(sums, {call.offset, call.weights.column_sums + output, bias}, tile);
}

void finish(const void* context, const std::int32_t* sums, std::size_t row, std::size_t output,
            std::size_t count) noexcept {
  const Call& call = *static_cast<const Call*>(context);
  for (std::size_t done = 0; done < count; done += kGemvPanel) {
    finish_panel(call, sums + done, row, output + done, smaller(count - done, kGemvPanel));
  }
}

Status run(const GemvKernels& kernels, const PackedWeights& weights, const ConvolutionGeometry& geometry,
           const ConvolutionInput& input, const OutputStage& stage, void* output, std::uint8_t* scratch,
           const Parallel& parallel) {
  const GemvPlan plan = gemv_plan(weights.shape, weights.group_size);
  const std::size_t pixels = pixel_count(weights, geometry), most = smaller(pixels, kMaxRows);
  const std::size_t row_stride = gemv_row_stride(plan), correction_stride = gemv_correction_stride(plan);
  std::uint8_t* const arranged = scratch;
  auto* const corrections = reinterpret_cast<std::int32_t*>(scratch + most * row_stride);
  auto* const unordered = reinterpret_cast<std::int8_t*>(corrections + most * correction_stride);
  const bool in_order = keeps_order(plan);
  const GemvMethod& method = kernels.method(most, gemv_steps(plan));
  const std::int32_t centered = method.takes_unsigned ? 0 : 128;
  Call call{weights, geometry, input, stage, kernels, prepare_stage(stage), output, centered - input.zero_point, 0};
  for (; call.first_pixel < pixels; call.first_pixel += most) {
    const std::size_t rows = smaller(most, pixels - call.first_pixel);
    for (std::size_t row = 0; row < rows; ++row) {
      std::uint8_t* const to = arranged + row * row_stride;
      auto* const signed_to = reinterpret_cast<std::int8_t*>(to);
      center(activations(call, call.first_pixel + row), plan.depth, input.zero_point, in_order ? signed_to : unordered);
      finish_row(kernels, method, plan, in_order ? nullptr : unordered, to, corrections + row * correction_stride);
    }
    multiply_panels({&method, &plan, weights.payload, arranged, corrections, rows, finish, &call}, parallel);
  }
  return Status::ok;
}

// ConvolutionKernel has no context, so that each instruction set needs a function of its own.
template <Isa kIsa>
Status run_on(const PackedWeights& weights, const ConvolutionGeometry& geometry, const ConvolutionInput& input,
              const OutputStage& stage, void* output, std::uint8_t* scratch, const Parallel& parallel) noexcept {
  return run(*gemv_kernels(kIsa), weights, geometry, input, stage, output, scratch, parallel);
}

template <Isa kIsa>
const ConvolutionKernel* convolution() {
  const GemvKernels* const kernels = gemv_kernels(kIsa);
  if (kernels == nullptr) return nullptr;
  static const ConvolutionKernel kernel{kernels->convolution_name, kIsa, Layout::gemv2, scratch_bytes, run_on<kIsa>};
  return &kernel;
}

}  // namespace

const ConvolutionKernel* gemv_convolution(Isa isa) noexcept {
  switch (isa) {
    case Isa::scalar:
      return nullptr;
    case Isa::avx2:
      return convolution<Isa::avx2>();
    case Isa::avxvnni:
      return convolution<Isa::avxvnni>();
    case Isa::avx512:
      return convolution<Isa::avx512>();
    case Isa::neon:
      return convolution<Isa::neon>();
    case Isa::neon_i8mm:
      return convolution<Isa::neon_i8mm>();
  }
  return nullptr;
}

const GemvKernels* gemv_kernels(Isa isa) noexcept {
  switch (isa) {
#ifdef TRITFORGE_BUILT_AVX2
    case Isa::avx2:
      return &kGemvAvx2;
#endif
#ifdef TRITFORGE_BUILT_AVXVNNI
    case Isa::avxvnni:
      return &kGemvAvxVnni;
#endif
#ifdef TRITFORGE_BUILT_AVX512
    case Isa::avx512:
      return &kGemvAvx512;
#endif
#ifdef TRITFORGE_BUILT_NEON
    case Isa::neon:
      return &kGemvNeon;
    case Isa::neon_i8mm:
      return &kGemvNeon;  // reading the weights is the bound, which no matrix instruction moves
#endif
    default:
      return nullptr;
  }
}

}  // namespace tritforge
