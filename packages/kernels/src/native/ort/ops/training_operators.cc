// float32 operators of training graphs, images NHWC, weights [M, C, KH, KW]. Formulas: tritforge/training.h.
//
//   FloatConv                X, W, B?            → Y              strides, pads [top, left, bottom, right], group
//   FloatConvInputGradient   Ȳ, W, A?            → X̄ + A          strides, pads, group, input_shape [H, W]
//   FloatConvWeightGradient  X, Ȳ                → W̄              strides, pads, group, kernel_shape
//   NormalizeBatch           X, γ, β, A?         → Y, μ, v, r     epsilon, rectify
//   NormalizeChannels        X, γ, β, μ, v, A?   → Y, r           epsilon, rectify
//   NormalizeBatchGradient   Ȳ, X, Y or β, γ, μ, r → X̄, γ̄, β̄, Ā?  rectify, given: μ and r do not depend on X; β where A
//                                                                  was not added
//   FloatMaxPool             X                   → Y              kernel_shape, strides, pads, output_shape [OH, OW]
//   FloatMaxPoolGradient     Ȳ, X, Y             → X̄              as above
//   FloatQuantize            X, low, high, s     → Y              least, most: codes less the zero point
//   FloatQuantizeGradient    Ȳ, X, low, high, s  → X̄, low̄, high̄, s̄  as above
//
// The group is 1, or as many as channels, of X as of Y.
#include "ort/ops/training_operators.h"

namespace tritforge::ort {
namespace {

// Shapes are written into training graphs.
void leave_open(const Operator&, ShapeInferContext*) {}

constexpr ElementType kFloat = ElementType::float32;
constexpr ElementType kFloats[] = {kFloat, kFloat, kFloat, kFloat, kFloat, kFloat};
constexpr std::span<const ElementType> kAll(kFloats);

constexpr OperatorDefinition floats_to_floats(const char* name, std::size_t inputs, std::size_t optional_inputs,
                                              std::size_t outputs, std::size_t optional_outputs, MakeKernel* make) {
  OperatorDefinition definition{name, kAll.first(inputs), kFloat, make, leave_open};
  definition.optional_inputs = optional_inputs;
  definition.outputs = outputs;
  definition.optional_outputs = optional_outputs;
  return definition;
}

constexpr OperatorDefinition kOperators[] = {
    floats_to_floats("FloatConv", 3, 1, 1, 0, make_float_conv),
    floats_to_floats("FloatConvInputGradient", 3, 1, 1, 0, make_float_conv_input_gradient),
    floats_to_floats("FloatConvWeightGradient", 2, 0, 1, 0, make_float_conv_weight_gradient),
    floats_to_floats("FloatMaxPool", 1, 0, 1, 0, make_float_max_pool),
    floats_to_floats("FloatMaxPoolGradient", 3, 0, 1, 0, make_float_max_pool_gradient),
    floats_to_floats("FloatQuantize", 4, 0, 1, 0, make_float_quantize),
    floats_to_floats("FloatQuantizeGradient", 5, 0, 4, 0, make_float_quantize_gradient),
    floats_to_floats("NormalizeBatch", 4, 1, 4, 0, make_normalize_batch),
    floats_to_floats("NormalizeChannels", 6, 1, 2, 0, make_normalize_channels),
    floats_to_floats("NormalizeBatchGradient", 6, 0, 4, 1, make_normalize_batch_gradient),
};

}  // namespace

std::span<const OperatorDefinition> training_operators() { return kOperators; }

}  // namespace tritforge::ort
