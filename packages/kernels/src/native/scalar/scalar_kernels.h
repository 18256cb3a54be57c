// Kernels of Isa::scalar: unpack, then the reference. They exist for every layout and prove its unpacking.
#pragma once

#include "tritforge/convolution.h"
#include "tritforge/gemv.h"

namespace tritforge {

const ConvolutionKernel* scalar_kernel(Layout layout) noexcept;
const DynamicGemv* scalar_dynamic_gemv() noexcept;

}  // namespace tritforge
