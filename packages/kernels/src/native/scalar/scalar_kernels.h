// Kernels of Isa::scalar: unpack, then the reference. They exist for every layout and prove its unpacking.
#pragma once

#include "tritforge/convolution.h"

namespace tritforge {

const ConvolutionKernel* scalar_kernel(Layout layout) noexcept;

}  // namespace tritforge
