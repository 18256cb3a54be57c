// Makers of the kernels of training operators, which training_operators.cc lists.
#pragma once

#include <memory>

#include "ort/ops/operator.h"

namespace tritforge::ort {

using MakeKernel = std::unique_ptr<OperatorKernel>(const Operator&, const KernelInfo*);

MakeKernel make_float_conv, make_float_conv_input_gradient, make_float_conv_weight_gradient;
MakeKernel make_float_max_pool, make_float_max_pool_gradient;
MakeKernel make_float_quantize, make_float_quantize_gradient;
MakeKernel make_normalize_batch, make_normalize_channels, make_normalize_batch_gradient;

}  // namespace tritforge::ort
