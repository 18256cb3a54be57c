#include "tritforge/convolution.h"

#include "dispatch/layouts.h"
#include "scalar/scalar_kernels.h"

namespace tritforge {
namespace {

// Keeps products of extents far from overflow.
constexpr std::size_t kMaxExtent = std::size_t{1} << 24;
constexpr std::size_t kMaxElements = std::size_t{1} << 40;
// Rows below which tables for 4-bit activations do not pay beside gemv2.
constexpr std::size_t kTableRows = 3;
constexpr std::size_t kTableGroupSize = 16;
constexpr std::uint8_t kMaxTable27Code = 15, kMaxTable64Code = 3;

bool geometry_is_sane(const ConvolutionGeometry& g, const WeightShape& w) {
  const std::size_t extents[] = {g.batch, g.height, g.width, g.stride_height, g.stride_width, g.dilation_height, g.dilation_width};
  for (const std::size_t extent : extents) {
    if (extent < 1 || extent > kMaxExtent) return false;
  }
  const std::size_t pads[] = {g.pad_top, g.pad_left, g.pad_bottom, g.pad_right};
  for (const std::size_t pad : pads) {
    if (pad > kMaxExtent) return false;
  }
  const std::size_t channels = w.groups * w.depth;
  if (g.height * g.width > kMaxElements / g.batch / channels) return false;
  const std::size_t oh = output_height(g, w), ow = output_width(g, w);
  return oh >= 1 && ow >= 1 && oh * ow <= kMaxElements / g.batch / w.output_channels;
}

bool stage_is_sane(const OutputStage& stage) {
  if (stage.kind != OutputKind::s32 && stage.multiplier == nullptr) return false;
  return stage.kind != OutputKind::u8 || stage.max_code >= 1;
}

// Rows below which reading int8 weights costs more than multiplying 2-bit ones, whose small groups take more arithmetic. Measured on
// Zen 5 with weights in the third cache; from memory gemv2 leads for longer, from the second cache only up to four rows.
std::size_t few_rows(std::size_t group_size) { return group_size >= 32 ? 16 : group_size >= 16 ? 12 : group_size >= 8 ? 10 : 6; }

// Whether looking sums up beats multiplying. A table is built once per 64 inputs of a pixel and read once per output and tap; inputs
// that do not fill one are lost. Tables of 64 sums take longer to build, `fewest_outputs` is from where on deep products gain.
// Measured on Zen 5 against dot8 on the convolutions of ResNet-20 and ResNet-50.
bool tables_pay(const WeightShape& s, std::size_t fewest_outputs) {
  if (tap_count(s) > 1) return s.depth >= 64;
  return (s.depth >= 256 && s.output_channels >= fewest_outputs) || (s.depth >= 128 && s.output_channels >= 512);
}

// The layout of tables that can be used and pays, or dot8.
Layout choose_tables(const Weights& w, std::uint8_t max_code) {
  if (w.kind == WeightKind::ternary && w.group_size >= kTableGroupSize && max_code <= kMaxTable27Code && tables_pay(w.shape, 128)) {
    return Layout::table27;
  }
  return w.kind == WeightKind::uniform2 && max_code <= kMaxTable64Code && tables_pay(w.shape, 256) ? Layout::table64 : Layout::dot8;
}

bool can_hold(Layout layout, const Weights& weights) { return packed_bytes(layout, weights) != 0; }

}  // namespace

const ConvolutionKernel* convolution_kernel(Layout layout, Isa isa) noexcept {
  if (!isa_is_built(isa) || !cpu_has(isa)) return nullptr;
  if (isa == Isa::scalar) return scalar_kernel(layout);
  switch (layout) {
    case Layout::dot8: return dot8_kernel(isa);
    case Layout::dot8t: return dot8t_kernel(isa);
    case Layout::table27: return table27_kernel(isa);
    case Layout::table64: return table64_kernel(isa);
    case Layout::gemv2: return gemv2_kernel(isa);
    case Layout::depthwise: return depthwise_kernel(isa);
  }
  return nullptr;
}

Layout choose_layout(Isa isa, const Weights& w, std::size_t output_pixels, std::uint8_t max_code) noexcept {
  const auto usable = [&](Layout layout) { return convolution_kernel(layout, isa) != nullptr && can_hold(layout, w); };
  const WeightShape& s = w.shape;
  if (s.depth == 1 && s.groups > 1 && usable(Layout::depthwise)) return Layout::depthwise;
  const Layout tables = choose_tables(w, max_code);
  const bool looks_up = tables != Layout::dot8 && usable(tables);
  const bool is_product = tap_count(s) == 1 && s.groups == 1;
  const std::size_t fewest_rows = looks_up && tables == Layout::table27 ? kTableRows : few_rows(w.group_size);
  if (is_product && output_pixels < fewest_rows && usable(Layout::gemv2)) return Layout::gemv2;
  if (looks_up) return tables;
  return usable(Layout::dot8t) ? Layout::dot8t : Layout::dot8;
}

Status convolve(const ConvolutionKernel& kernel, const PackedWeights& weights, const ConvolutionGeometry& geometry,
                const ConvolutionInput& input, const OutputStage& stage, void* output, std::uint8_t* scratch,
                const Parallel& parallel) noexcept {
  if (kernel.layout != weights.layout) return Status::unsupported;
  if (!geometry_is_sane(geometry, weights.shape) || !stage_is_sane(stage)) return Status::invalid_argument;
  if (input.values == nullptr || output == nullptr) return Status::invalid_argument;
  return kernel.run(weights, geometry, input, stage, output, scratch, parallel);
}

}  // namespace tritforge
