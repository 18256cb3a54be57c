// Products of uint8 rows with a matrix, the sums being acc[…, n] = Σ_k (x[…, k] − z) · w[n, k] + B[n].
//
//   TernaryMatMul, Int8MatMul        y = float(acc) · (x_scale · w_scale[n])
//   … MatMulNoBias                   the same without B
//   TernaryGemm, Int8Gemm            y = requantize(acc, x_scale · w_scale[n] / y_scale) + y_zero_point; … Clip: at most y_max
//
//   X uint8 […, K]       x_scale       x_zero_point
//   W  ternary: packed codes uint8 [⌈N·K / 4⌉] of [N, K]; int8: [N, K]
//   w_scale [N]       Gemm: y_scale, y_zero_point       B int32 [N]       ternary: group codes int8 [N, ⌈K / group_size⌉]
//   → float […, N]; Gemm: uint8
//
// All but X are constants. The numbers are those of MatMulIntegerToFloat and QGemm; see requantize.h.
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

enum Input : std::size_t { kX = 0, kXScale, kXZeroPoint, kW, kWScale, kFurther };

// Where the inputs behind w_scale are; kX where the operator has none.
struct FurtherInputs {
  std::size_t y_scale = kX;
  std::size_t bias = kX;
  std::size_t group_codes = kX;
};

FurtherInputs further_inputs(const OperatorDefinition& definition) {
  FurtherInputs found;
  std::size_t next = kFurther;
  if (definition.output == ElementType::uint8) {
    found.y_scale = next;
    next += 2;
  }
  if (next < definition.inputs.size() && definition.inputs[next] == ElementType::int32) found.bias = next++;
  if (definition.is_ternary) found.group_codes = next;
  return found;
}

constexpr std::int64_t kMaxSize = (std::int64_t{1} << 31) - 1;
constexpr std::int64_t kMaxCode = 255;

class MatMul final : public OperatorKernel {
 public:
  MatMul(const Operator& op, const KernelInfo* info);
  void compute(const RunContext& run) override;

 private:
  Weights weights(const void* codes, const void* group_codes) const;
  const PackedPlans::Plan& plan_for(const RunContext& run, std::size_t rows);
  void read_scales(const NodeReader& node);
  void read_bias(const NodeReader& node);
  void read_weights(const NodeReader& node);

  const OperatorDefinition& definition_;
  const FurtherInputs further_;
  const ScratchUser scratch_user_;
  std::int64_t n_;
  std::int64_t k_;
  std::int64_t group_size_ = 0;
  std::uint8_t x_zero_point_;
  std::uint8_t x_max_;
  std::vector<std::int32_t> bias_;
  std::vector<float> multiplier_;
  OutputStage stage_{};
  std::unique_ptr<PackedPlans> plans_;
};

MatMul::MatMul(const Operator& op, const KernelInfo* info)
    : definition_(op.definition), further_(further_inputs(op.definition)) {
  const NodeReader node(op, info);
  n_ = node.integer("N", 1, kMaxSize);
  k_ = node.integer("K", 1, kMaxSize);
  if (definition_.is_ternary) group_size_ = node.integer("group_size", 1, kMaxSize);
  x_zero_point_ = node.zero_point(kXZeroPoint, "x_zero_point");
  x_max_ = static_cast<std::uint8_t>(node.integer_or("x_max", kMaxCode, 1, kMaxCode));
  read_scales(node);
  read_bias(node);
  read_weights(node);
}

void MatMul::read_scales(const NodeReader& node) {
  const float x_scale = node.scale(kXScale, "x_scale");
  const bool quantizes = further_.y_scale != kX;
  const float y_scale = quantizes ? node.scale(further_.y_scale, "y_scale") : 1;
  const auto* w_scale = static_cast<const float*>(node.constant(kWScale, "w_scale", {n_}).data);
  for (std::int64_t n = 0; n < n_; ++n) {
    const float multiplier = quantizes ? requantize_multiplier(x_scale, w_scale[n], y_scale) : x_scale * w_scale[n];
    if (!(w_scale[n] > 0) || !std::isfinite(multiplier)) {
      node.fail("w_scale[" + std::to_string(n) + "] must be positive and finite, with the other scales too");
    }
    multiplier_.push_back(multiplier);
  }
  stage_ = {quantizes ? OutputKind::u8 : OutputKind::f32, nullptr, multiplier_.data(), 0, static_cast<std::uint8_t>(kMaxCode), {}};
  if (!quantizes) return;
  stage_.zero_point = node.zero_point(further_.y_scale + 1, "y_zero_point");
  stage_.max_code = static_cast<std::uint8_t>(node.integer_or("y_max", kMaxCode, 1, kMaxCode));
  if (stage_.max_code != kMaxCode && !definition_.clips) node.fail("y_max must be 255, the operator does not clip");
}

void MatMul::read_bias(const NodeReader& node) {
  if (further_.bias == kX) return;
  const auto* bias = static_cast<const std::int32_t*>(node.constant(further_.bias, "B", {n_}).data);
  const std::int64_t products = std::min<std::int64_t>(std::numeric_limits<std::int32_t>::max() / 2, k_ * kMaxCode * 128);
  for (std::int64_t n = 0; n < n_; ++n) {
    // Packing bounds 255 · Σ |w|; the bias comes on top.
    if (std::abs(std::int64_t{bias[n]}) > std::numeric_limits<std::int32_t>::max() - products) {
      node.fail("B[" + std::to_string(n) + "] is so large that sums could leave int32");
    }
  }
  bias_.assign(bias, bias + n_);
  stage_.bias = bias_.data();
}

void MatMul::read_weights(const NodeReader& node) {
  const void* group_codes = nullptr;
  TensorView codes = node.constant(kW, "W");
  if (definition_.is_ternary) {
    codes = node.constant(kW, "W", {(n_ * k_ + 3) / 4});
    group_codes = node.constant(further_.group_codes, "group_codes", {n_, (k_ + group_size_ - 1) / group_size_}).data;
  } else {
    codes = node.constant(kW, "W", {n_, k_});
  }
  const std::vector<std::int64_t> x = node.declared_shape(kX);
  std::size_t rows = 1;
  for (std::size_t i = 0; i + 1 < x.size(); ++i) rows *= static_cast<std::size_t>(std::clamp<std::int64_t>(x[i], 1, 1 << 16));
  plans_ = std::make_unique<PackedPlans>(x_max_);
  try {
    plans_->plan(weights(codes.data, group_codes), rows);
  } catch (const Failure& failure) {
    node.fail(failure.what());
  }
}

Weights MatMul::weights(const void* codes, const void* group_codes) const {
  const WeightShape shape{static_cast<std::size_t>(n_), static_cast<std::size_t>(k_), 1, 1, 1};
  if (definition_.is_ternary) {
    return {WeightKind::ternary, shape, static_cast<const std::uint8_t*>(codes), nullptr,
            static_cast<const std::uint8_t*>(group_codes), static_cast<std::size_t>(group_size_), {}};
  }
  return {WeightKind::int8, shape, nullptr, static_cast<const std::int8_t*>(codes), nullptr, 0, {}};
}

const PackedPlans::Plan& MatMul::plan_for(const RunContext& run, std::size_t rows) {
  if (const PackedPlans::Plan* known = plans_->known(rows)) return *known;
  const void* group_codes = definition_.is_ternary ? run_input(run, further_.group_codes).data : nullptr;
  return plans_->plan(weights(run_input(run, kW).data, group_codes), rows);
}

void MatMul::compute(const RunContext& run) {
  const TensorView x = run_input(run, kX);
  if (x.shape.empty() || x.shape.back() != k_) {
    throw Failure("X must have the shape [..., " + std::to_string(k_) + "], got " + printed(x.shape));
  }
  std::vector<std::int64_t> y_shape = x.shape;
  y_shape.back() = n_;
  void* y = run_output(run, y_shape);
  const std::size_t rows = x.count / static_cast<std::size_t>(k_);
  if (rows == 0) return;

  const PackedPlans::Plan& plan = plan_for(run, rows);
  const ConvolutionGeometry geometry = matrix_geometry(rows);
  const Parallel parallel = session_threads(run);
  const Scratch scratch(plan.kernel->scratch_bytes(plan.weights, geometry, parallel.threads));
  const ConvolutionInput input{static_cast<const std::uint8_t*>(x.data), x_zero_point_, x_max_};
  const tritforge::Status status =
      convolve(*plan.kernel, plan.weights, geometry, input, stage_, y, scratch.data(), parallel);
  if (status != tritforge::Status::ok) throw Failure(describe(status));
}

std::unique_ptr<OperatorKernel> create(const Operator& op, const KernelInfo* info) {
  return std::make_unique<MatMul>(op, info);
}

void infer(const Operator& op, ShapeInferContext* context) {
  const ShapeInference node(op, context);
  std::vector<InferredSize> shape = node.input(kX);
  if (shape.empty()) throw Failure("X is not known");
  shape.back() = {node.integer("N"), ""};
  node.set_output(shape);
}

constexpr auto kU8 = ElementType::uint8, kS8 = ElementType::int8, kS32 = ElementType::int32, kF32 = ElementType::float32;

constexpr ElementType kTernaryMatMul[] = {kU8, kF32, kU8, kU8, kF32, kS32, kS8};
constexpr ElementType kTernaryMatMulNoBias[] = {kU8, kF32, kU8, kU8, kF32, kS8};
constexpr ElementType kTernaryGemm[] = {kU8, kF32, kU8, kU8, kF32, kF32, kU8, kS32, kS8};
constexpr ElementType kInt8MatMul[] = {kU8, kF32, kU8, kS8, kF32, kS32};
constexpr ElementType kInt8MatMulNoBias[] = {kU8, kF32, kU8, kS8, kF32};
constexpr ElementType kInt8Gemm[] = {kU8, kF32, kU8, kS8, kF32, kF32, kU8, kS32};

constexpr OperatorDefinition ternary(const char* name, std::span<const ElementType> inputs, ElementType output, bool clips) {
  return {name, inputs, output, create, infer, true, false, clips};
}

constexpr OperatorDefinition int8(const char* name, std::span<const ElementType> inputs, ElementType output, bool clips) {
  return {name, inputs, output, create, infer, false, false, clips};
}

constexpr OperatorDefinition kOperators[] = {
    ternary("TernaryMatMul", kTernaryMatMul, kF32, false), ternary("TernaryMatMulNoBias", kTernaryMatMulNoBias, kF32, false),
    ternary("TernaryGemm", kTernaryGemm, kU8, false),      ternary("TernaryGemmClip", kTernaryGemm, kU8, true),
    int8("Int8MatMul", kInt8MatMul, kF32, false),          int8("Int8MatMulNoBias", kInt8MatMulNoBias, kF32, false),
    int8("Int8Gemm", kInt8Gemm, kU8, false),               int8("Int8GemmClip", kInt8Gemm, kU8, true),
};

}  // namespace

std::span<const OperatorDefinition> matmul_operators() { return kOperators; }

}  // namespace tritforge::ort
