#include "scalar/scalar_kernels.h"

#include "tritforge/reference_convolution.h"

namespace tritforge {
namespace {

std::size_t scratch_bytes(const PackedWeights& weights, const ConvolutionGeometry&, std::size_t) noexcept {
  return weights.shape.output_channels * weights.shape.depth * tap_count(weights.shape);
}

Status run(const PackedWeights& weights, const ConvolutionGeometry& geometry, const ConvolutionInput& input,
           const OutputStage& stage, void* output, std::uint8_t* scratch, const Parallel&) noexcept {
  auto* values = reinterpret_cast<std::int8_t*>(scratch);
  if (const Status status = unpack_weights(weights, values); status != Status::ok) return status;
  convolve__reference(weights.shape, values, geometry, input, stage, output);
  return Status::ok;
}

constexpr ConvolutionKernel kernel(const char* name, Layout layout) {
  return {name, Isa::scalar, layout, scratch_bytes, run};
}

constexpr ConvolutionKernel kKernels[] = {
    kernel("dot8__scalar", Layout::dot8),       kernel("dot8t__scalar", Layout::dot8t),
    kernel("table27__scalar", Layout::table27), kernel("table64__scalar", Layout::table64),
    kernel("gemv2__scalar", Layout::gemv2),     kernel("depthwise__scalar", Layout::depthwise),
};

}  // namespace

const ConvolutionKernel* scalar_kernel(Layout layout) noexcept {
  for (const ConvolutionKernel& each : kKernels) {
    if (each.layout == layout) return &each;
  }
  return nullptr;
}

}  // namespace tritforge
