// The layouts and kernels that there are. Each is defined in the file of its name under layouts/ and convolution/.
#pragma once

#include "tritforge/convolution.h"
#include "tritforge/gemv.h"
#include "tritforge/packed_weights.h"

namespace tritforge {

extern const LayoutFunctions kDot8Layout;
extern const LayoutFunctions kDot8tLayout;
extern const LayoutFunctions kTable27Layout;
extern const LayoutFunctions kTable64Layout;
extern const LayoutFunctions kGemv2Layout;
extern const LayoutFunctions kDepthwiseLayout;

// The fast kernel of each layout on an instruction set other than scalar, or null: not written, or not built (test with
// TRITFORGE_BUILT_<FOLDER>). Whether the CPU can run it is the business of the caller.
const ConvolutionKernel* dot8_kernel(Isa isa) noexcept;
const ConvolutionKernel* dot8t_kernel(Isa isa) noexcept;
const ConvolutionKernel* table27_kernel(Isa isa) noexcept;
const ConvolutionKernel* table64_kernel(Isa isa) noexcept;
const ConvolutionKernel* gemv2_kernel(Isa isa) noexcept;
const ConvolutionKernel* depthwise_kernel(Isa isa) noexcept;

}  // namespace tritforge
