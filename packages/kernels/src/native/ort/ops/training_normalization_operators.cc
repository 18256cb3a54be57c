// NormalizeBatch, NormalizeChannels and their gradient.
#include <cmath>

#include "ort/ops/training_arguments.h"
#include "ort/ops/training_operators.h"
#include "tritforge/training.h"

namespace tritforge::ort {
namespace {

// Of an image whose last axis has the channels.
BatchNormalization normalization_of(const TensorView& x, float epsilon, bool rectifies) {
  const std::size_t channels = size_of(x.shape.back());
  return {x.count / channels, channels, epsilon, rectifies};
}

// By the statistics of the batch, or by those that are given.
template <bool kGiven>
class Normalize final : public OperatorKernel {
 public:
  explicit Normalize(const NodeReader& node)
      : epsilon_(node.number("epsilon")),
        rectifies_(node.integer("rectify", 0, 1) == 1),
        adds_(node.inputs() > kAdded) {
    if (!(epsilon_ >= 0) || !std::isfinite(epsilon_)) node.fail("epsilon must be finite and not negative");
  }

  void compute(const RunContext& run) override {
    const TensorView x = run_image(run, 0, "X");
    const std::vector<std::int64_t> channels{x.shape[3]};
    const float* vectors[kAdded];
    for (std::size_t i = 1; i < kAdded; ++i) vectors[i] = run_floats(run, i, channels, kNames[i]);
    const float* const added = adds_ ? run_floats(run, kAdded, x.shape, "A") : nullptr;
    const Scratch scratch(batch_normalization_scratch_bytes(size_of(x.shape[3])));
    const BatchNormalization normalization = normalization_of(x, epsilon_, rectifies_);
    float* const y = output(run, x.shape);
    float* statistics[3];
    for (std::size_t i = 0; i < (kGiven ? 1 : 3); ++i) statistics[i] = output(run, channels, i + 1);
    if constexpr (kGiven) {
      normalize_channels(active_isa(), normalization, floats(x), added, vectors[1], vectors[2], vectors[3], vectors[4],
                         y, statistics[0], scratch.data());
    } else {
      normalize_batch(active_isa(), normalization, floats(x), added, vectors[1], vectors[2], y, statistics[0],
                      statistics[1], statistics[2], scratch.data());
    }
  }

 private:
  // Where what is added comes, behind the vectors.
  static constexpr std::size_t kAdded = kGiven ? 5 : 3;
  static constexpr const char* kNames[] = {"X", "scale", "bias", "mean", "variance"};

  float epsilon_;
  bool rectifies_, adds_;
};

class NormalizeBatchGradient final : public OperatorKernel {
 public:
  explicit NormalizeBatchGradient(const NodeReader& node)
      : rectifies_(node.integer("rectify", 0, 1) == 1),
        is_given_(node.integer("given", 0, 1) == 1),
        adds_(node.outputs() > 3) {
    if (adds_ && !rectifies_) node.fail("without rectify the gradient of A is that of Y");
  }

  void compute(const RunContext& run) override {
    const TensorView dy = run_image(run, 0, "the gradient of Y"), x = run_input(run, 1), y = run_input(run, 2);
    const TensorView scale = run_input(run, 3), mean = run_input(run, 4), reciprocal = run_input(run, 5);
    require_shape(x, dy.shape, "X");
    const bool has_output = y.shape.size() != 1;
    if (rectifies_ && has_output) require_shape(y, dy.shape, "Y");
    const std::vector<std::int64_t> channels{dy.shape[3]};
    require_shape(scale, channels, "scale");
    require_shape(mean, channels, "mean");
    require_shape(reciprocal, channels, "the reciprocal deviation");
    if (!has_output) require_shape(y, channels, "bias");
    if (!has_output && adds_) throw Failure("Y is needed where A was added");
    const Scratch scratch(batch_normalization_scratch_bytes(size_of(dy.shape[3])));
    const BatchNormalizationGradient given{floats(dy),
                                           floats(x),
                                           rectifies_ && has_output ? floats(y) : nullptr,
                                           has_output ? nullptr : floats(y),
                                           floats(scale),
                                           floats(mean),
                                           floats(reciprocal),
                                           is_given_};
    float* const x_gradient = output(run, dy.shape);
    float* const scale_gradient = output(run, channels, 1);
    float* const bias_gradient = output(run, channels, 2);
    float* const added_gradient = adds_ ? output(run, dy.shape, 3) : nullptr;
    normalize_batch_gradient(active_isa(), normalization_of(dy, 0, rectifies_), given, x_gradient, scale_gradient,
                             bias_gradient, added_gradient, scratch.data());
  }

 private:
  bool rectifies_, is_given_, adds_;
};

}  // namespace

std::unique_ptr<OperatorKernel> make_normalize_batch(const Operator& op, const KernelInfo* info) {
  return std::make_unique<Normalize<false>>(NodeReader(op, info));
}

std::unique_ptr<OperatorKernel> make_normalize_channels(const Operator& op, const KernelInfo* info) {
  return std::make_unique<Normalize<true>>(NodeReader(op, info));
}

std::unique_ptr<OperatorKernel> make_normalize_batch_gradient(const Operator& op, const KernelInfo* info) {
  return std::make_unique<NormalizeBatchGradient>(NodeReader(op, info));
}

}  // namespace tritforge::ort
