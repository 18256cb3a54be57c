// TernaryConv, Int8Conv, and what they become with a residual added (…Add) and clipped (…Clip). Activations are uint8, NHWC.
//
//   0 X uint8 [B, H, W, C]       1 x_scale       2 x_zero_point
//   3 W  ternary: packed codes uint8 [⌈OC·IC/group·kH·kW / 4⌉]; int8: [OC, IC/group, kH, kW]
//   4 w_scale [OC]       5 y_scale       6 y_zero_point       7 B int32 [OC]
//   8 ternary: group codes int8 [OC, ⌈IC/group / group_size⌉, kH, kW]
//   then, for …Add: R uint8, of the shape of the output, r_scale, r_zero_point, z_scale, z_zero_point
//   → uint8 [B, OH, OW, OC]
//
// All but X and R are constants. The numbers are those of QLinearConv and QLinearAdd; see requantize.h.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "ort/ops/node_reader.h"
#include "ort/ops/operator.h"
#include "ort/ops/packed_plans.h"
#include "ort/ops/run_support.h"
#include "ort/ops/shape_inference.h"
#include "ort/status.h"
#include "tritforge/convolution.h"
#include "tritforge/output_stage.h"
#include "tritforge/requantize.h"

namespace tritforge::ort {
namespace {

enum Input : std::size_t {
  kX = 0,
  kXScale,
  kXZeroPoint,
  kW,
  kWScale,
  kYScale,
  kYZeroPoint,
  kBias,
  kGroupCodes,  // ternary alone
};

constexpr std::size_t residual_input(const OperatorDefinition& definition) {
  return definition.is_ternary ? kGroupCodes + 1 : kGroupCodes;
}

// Sizes beyond this are nonsense; products of two of them fit in int64.
constexpr std::int64_t kMaxSize = std::int64_t{1} << 24;
constexpr std::int64_t kMaxWeightSize = (std::int64_t{1} << 31) - 1;
constexpr std::int64_t kMaxCode = 255;
// Output pixels that a plan is made for where the model does not tell.
constexpr std::size_t kUsualPixels = 1024;

class Convolution final : public OperatorKernel {
 public:
  Convolution(const Operator& op, const KernelInfo* info);
  void compute(const RunContext& run) override;

 private:
  void read_geometry(const NodeReader& node);
  void read_scales(const NodeReader& node);
  void read_weights(const NodeReader& node);
  void check_sums(const NodeReader& node) const;
  std::size_t expected_pixels(const NodeReader& node) const;
  Weights weights(const void* codes, const void* group_codes) const;
  const PackedPlans::Plan& plan_for(const RunContext& run, std::size_t pixels);

  const OperatorDefinition& definition_;
  const ScratchUser scratch_user_;
  WeightShape shape_{};
  std::size_t group_size_ = 0;
  ConvolutionGeometry geometry_{};  // without batch, height and width
  std::uint8_t x_zero_point_ = 0;
  std::uint8_t x_max_ = 0;
  std::vector<std::int32_t> bias_;
  std::vector<float> multiplier_;
  OutputStage stage_{};  // without the residual's values
  std::unique_ptr<PackedPlans> plans_;
};

Convolution::Convolution(const Operator& op, const KernelInfo* info) : definition_(op.definition) {
  const NodeReader node(op, info);
  read_geometry(node);
  read_scales(node);
  read_weights(node);
}

std::vector<std::int64_t> weight_shape(const NodeReader& node, const OperatorDefinition& definition) {
  if (definition.is_ternary) return node.integers("weight_shape", 4, 1, kMaxWeightSize);
  const std::vector<std::int64_t> shape = node.constant(kW, "W").shape;
  const bool is_sane = shape.size() == 4 && std::all_of(shape.begin(), shape.end(), [](std::int64_t n) { return n >= 1; });
  if (!is_sane) node.fail("W must have the shape [OC, IC/group, kH, kW], got " + printed(shape));
  return shape;
}

void Convolution::read_geometry(const NodeReader& node) {
  const std::vector<std::int64_t> w = weight_shape(node, definition_);
  const std::int64_t groups = node.integer("group", 1, w[0]);
  if (w[0] % groups != 0) node.fail("group must divide the number of output channels, " + std::to_string(w[0]));
  shape_ = {static_cast<std::size_t>(w[0]), static_cast<std::size_t>(w[1]), static_cast<std::size_t>(w[2]),
            static_cast<std::size_t>(w[3]), static_cast<std::size_t>(groups)};
  checked_product({w[0], w[1], w[2], w[3]});
  checked_product({w[1], groups});
  const auto kernel = node.integers("kernel_shape", 2, 1, kMaxSize);
  if (kernel[0] != w[2] || kernel[1] != w[3]) node.fail("kernel_shape " + printed(kernel) + " is not that of W");
  const auto strides = node.integers("strides", 2, 1, kMaxSize);
  const auto dilations = node.integers("dilations", 2, 1, kMaxSize);
  const auto pads = node.integers("pads", 4, 0, kMaxSize);
  const auto size = [](std::int64_t value) { return static_cast<std::size_t>(value); };
  geometry_ = {0, 0, 0, size(strides[0]), size(strides[1]), size(dilations[0]), size(dilations[1]),
               size(pads[0]), size(pads[1]), size(pads[2]), size(pads[3])};
  if (definition_.is_ternary) group_size_ = size(node.integer("group_size", 1, kMaxSize));
}

void Convolution::read_scales(const NodeReader& node) {
  const auto channels = static_cast<std::int64_t>(shape_.output_channels);
  const float x_scale = node.scale(kXScale, "x_scale"), y_scale = node.scale(kYScale, "y_scale");
  x_zero_point_ = node.zero_point(kXZeroPoint, "x_zero_point");
  x_max_ = static_cast<std::uint8_t>(node.integer_or("x_max", kMaxCode, 1, kMaxCode));
  const auto y_max = static_cast<std::uint8_t>(node.integer_or("y_max", kMaxCode, 1, kMaxCode));
  if (y_max != kMaxCode && !definition_.clips) node.fail("y_max must be 255, the operator does not clip");
  const auto* w_scale = static_cast<const float*>(node.constant(kWScale, "w_scale", {channels}).data);
  for (std::int64_t oc = 0; oc < channels; ++oc) {
    const float multiplier = requantize_multiplier(x_scale, w_scale[oc], y_scale);
    if (!(w_scale[oc] > 0) || !std::isfinite(multiplier)) {
      node.fail("w_scale[" + std::to_string(oc) + "] must be positive and finite with the other scales");
    }
    multiplier_.push_back(multiplier);
  }
  const auto* bias = static_cast<const std::int32_t*>(node.constant(kBias, "B", {channels}).data);
  bias_.assign(bias, bias + channels);
  stage_ = {OutputKind::u8, bias_.data(), multiplier_.data(), node.zero_point(kYZeroPoint, "y_zero_point"), y_max, {}};
  if (!definition_.adds_residual) return;
  const std::size_t r = residual_input(definition_);
  stage_.residual = {nullptr, node.scale(r + 1, "r_scale"), node.zero_point(r + 2, "r_zero_point"),
                     node.scale(r + 3, "z_scale"), node.zero_point(r + 4, "z_zero_point"), y_scale};
}

void Convolution::read_weights(const NodeReader& node) {
  const auto size = [](std::size_t value) { return static_cast<std::int64_t>(value); };
  const void* group_codes = nullptr;
  TensorView codes = node.constant(kW, "W");
  if (definition_.is_ternary) {
    const std::size_t count = shape_.output_channels * shape_.depth * tap_count(shape_);
    codes = node.constant(kW, "W", {size((count + 3) / 4)});
    const std::size_t groups = (shape_.depth + group_size_ - 1) / group_size_;
    group_codes = node.constant(kGroupCodes, "group_codes",
                                {size(shape_.output_channels), size(groups), size(shape_.kernel_height), size(shape_.kernel_width)})
                      .data;
  }
  check_sums(node);
  plans_ = std::make_unique<PackedPlans>(x_max_);
  try {
    plans_->plan(weights(codes.data, group_codes), expected_pixels(node));
  } catch (const Failure& failure) {
    node.fail(failure.what());
  }
}

// Packing bounds 255 · Σ |w|; the bias comes on top.
void Convolution::check_sums(const NodeReader& node) const {
  constexpr std::int64_t kMaxSum = std::numeric_limits<std::int32_t>::max();
  const auto terms = static_cast<std::int64_t>(shape_.depth * tap_count(shape_));
  const std::int64_t products = std::min(kMaxSum / 2, terms * kMaxCode * 128);
  for (std::size_t oc = 0; oc < bias_.size(); ++oc) {
    if (std::abs(std::int64_t{bias_[oc]}) > kMaxSum - products) {
      node.fail("B[" + std::to_string(oc) + "] is so large that sums could leave int32");
    }
  }
}

std::size_t Convolution::expected_pixels(const NodeReader& node) const {
  const std::vector<std::int64_t> x = node.declared_shape(kX);
  if (x.size() != 4 || std::any_of(x.begin() + 1, x.end(), [](std::int64_t size) { return size < 1 || size > kMaxSize; })) {
    return kUsualPixels;
  }
  ConvolutionGeometry geometry = geometry_;
  geometry.height = static_cast<std::size_t>(x[1]);
  geometry.width = static_cast<std::size_t>(x[2]);
  const auto batch = static_cast<std::size_t>(std::clamp<std::int64_t>(x[0], 1, kMaxSize));
  return batch * output_height(geometry, shape_) * output_width(geometry, shape_);
}

Weights Convolution::weights(const void* codes, const void* group_codes) const {
  if (definition_.is_ternary) {
    return {WeightKind::ternary, shape_, static_cast<const std::uint8_t*>(codes), nullptr,
            static_cast<const std::uint8_t*>(group_codes), group_size_, {}};
  }
  return {WeightKind::int8, shape_, nullptr, static_cast<const std::int8_t*>(codes), nullptr, 0, {}};
}

const PackedPlans::Plan& Convolution::plan_for(const RunContext& run, std::size_t pixels) {
  if (const PackedPlans::Plan* known = plans_->known(pixels)) return *known;
  const void* group_codes = definition_.is_ternary ? run_input(run, kGroupCodes).data : nullptr;
  return plans_->plan(weights(run_input(run, kW).data, group_codes), pixels);
}

void Convolution::compute(const RunContext& run) {
  const TensorView x = run_input(run, kX);
  const std::size_t channels = shape_.depth * shape_.groups;
  if (x.shape.size() != 4 || static_cast<std::size_t>(x.shape[3]) != channels) {
    throw Failure("X must have the shape [B, H, W, " + std::to_string(channels) + "], got " + printed(x.shape));
  }
  ConvolutionGeometry geometry = geometry_;
  geometry.batch = static_cast<std::size_t>(x.shape[0]);
  geometry.height = static_cast<std::size_t>(x.shape[1]);
  geometry.width = static_cast<std::size_t>(x.shape[2]);
  const std::size_t oh = output_height(geometry, shape_), ow = output_width(geometry, shape_);
  const std::vector<std::int64_t> y_shape{x.shape[0], static_cast<std::int64_t>(oh), static_cast<std::int64_t>(ow),
                                          static_cast<std::int64_t>(shape_.output_channels)};
  if (oh == 0 || ow == 0) throw Failure("the window is larger than X with its pads, " + printed(x.shape));
  OutputStage stage = stage_;
  if (definition_.adds_residual) {
    const TensorView r = run_input(run, residual_input(definition_));
    if (r.shape != y_shape) throw Failure("R must have the shape " + printed(y_shape) + ", got " + printed(r.shape));
    stage.residual.values = static_cast<const std::uint8_t*>(r.data);
  }
  void* y = run_output(run, y_shape);
  const std::size_t pixels = checked_product({y_shape[0], y_shape[1], y_shape[2]});
  if (pixels == 0) return;

  const PackedPlans::Plan& plan = plan_for(run, pixels);
  const Parallel parallel = session_threads(run);
  const Scratch scratch(plan.kernel->scratch_bytes(plan.weights, geometry, parallel.threads));
  const ConvolutionInput input{static_cast<const std::uint8_t*>(x.data), x_zero_point_, x_max_};
  const tritforge::Status status =
      convolve(*plan.kernel, plan.weights, geometry, input, stage, y, scratch.data(), parallel);
  if (status != tritforge::Status::ok) throw Failure(describe(status));
}

std::unique_ptr<OperatorKernel> create(const Operator& op, const KernelInfo* info) {
  return std::make_unique<Convolution>(op, info);
}

void infer(const Operator& op, ShapeInferContext* context) {
  const ShapeInference node(op, context);
  const auto x = node.input(kX);
  if (x.size() != 4) throw Failure("X is not known");
  InferredSize channels;
  if (op.definition.is_ternary) {
    channels.value = node.integers("weight_shape", 4)[0];
  } else if (const auto w = node.input(kW); !w.empty()) {
    channels = w[0];
  }
  const auto kernel = node.integers("kernel_shape", 2), strides = node.integers("strides", 2);
  const auto dilations = node.integers("dilations", 2), pads = node.integers("pads", 4);
  node.set_output({x[0], window_output(x[1], pads[0], pads[2], kernel[0], dilations[0], strides[0]),
                   window_output(x[2], pads[1], pads[3], kernel[1], dilations[1], strides[1]), channels});
}

constexpr auto kU8 = ElementType::uint8, kS8 = ElementType::int8, kS32 = ElementType::int32, kF32 = ElementType::float32;

constexpr ElementType kTernaryInputs[] = {kU8, kF32, kU8, kU8, kF32, kF32, kU8, kS32, kS8, kU8, kF32, kU8, kF32, kU8};
constexpr ElementType kInt8Inputs[] = {kU8, kF32, kU8, kS8, kF32, kF32, kU8, kS32, kU8, kF32, kU8, kF32, kU8};

constexpr OperatorDefinition ternary(const char* name, bool adds, bool clips) {
  const std::span<const ElementType> inputs(kTernaryInputs, adds ? std::size(kTernaryInputs) : std::size_t{kGroupCodes} + 1);
  return {name, inputs, kU8, create, infer, true, adds, clips};
}

constexpr OperatorDefinition int8(const char* name, bool adds, bool clips) {
  const std::span<const ElementType> inputs(kInt8Inputs, adds ? std::size(kInt8Inputs) : std::size_t{kGroupCodes});
  return {name, inputs, kU8, create, infer, false, adds, clips};
}

constexpr OperatorDefinition kOperators[] = {
    ternary("TernaryConv", false, false),    ternary("TernaryConvAdd", true, false),
    ternary("TernaryConvClip", false, true), ternary("TernaryConvAddClip", true, true),
    int8("Int8Conv", false, false),          int8("Int8ConvAdd", true, false),
    int8("Int8ConvClip", false, true),       int8("Int8ConvAddClip", true, true),
};

}  // namespace

std::span<const OperatorDefinition> convolution_operators() { return kOperators; }

}  // namespace tritforge::ort
