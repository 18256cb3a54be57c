// FloatQuantize and its gradient.
#include "ort/ops/training_arguments.h"
#include "ort/ops/training_operators.h"
#include "tritforge/training.h"

namespace tritforge::ort {
namespace {

// Codes of 16 bits and fewer, to and fro.
constexpr std::int64_t kMaxCode = 65535;

class QuantizeRange {
 public:
  explicit QuantizeRange(const NodeReader& node)
      : least_(node.integer("least", -kMaxCode, kMaxCode)), most_(node.integer("most", -kMaxCode, kMaxCode)) {
    if (least_ >= most_) node.fail("least must be below most");
  }

  // From three numbers that are inputs `first` and on.
  FloatQuantization read(const RunContext& run, std::size_t first) const {
    const float low = number(run, first, "low"), high = number(run, first + 1, "high");
    const float scale = number(run, first + 2, "scale");
    return {low, high, scale, static_cast<float>(least_), static_cast<float>(most_)};
  }

 private:
  static float number(const RunContext& run, std::size_t index, const char* name) {
    const TensorView view = run_input(run, index);
    if (view.count != 1) throw Failure(std::string(name) + " must be one number, got the shape " + printed(view.shape));
    return *floats(view);
  }

  std::int64_t least_, most_;
};

class Quantize final : public OperatorKernel {
 public:
  explicit Quantize(const NodeReader& node) : range_(node) {}

  void compute(const RunContext& run) override {
    const TensorView x = run_input(run, 0);
    quantize_floats(active_isa(), range_.read(run, 1), x.count, floats(x), output(run, x.shape));
  }

 private:
  QuantizeRange range_;
};

class QuantizeGradient final : public OperatorKernel {
 public:
  explicit QuantizeGradient(const NodeReader& node) : range_(node) {}

  void compute(const RunContext& run) override {
    const TensorView dy = run_input(run, 0), x = run_input(run, 1);
    require_shape(dy, x.shape, "the gradient of Y");
    const FloatQuantization range = range_.read(run, 2);
    float* const x_gradient = output(run, x.shape);
    float* sums[3];
    for (std::size_t i = 0; i < 3; ++i) sums[i] = output(run, run_input(run, 2 + i).shape, i + 1);
    quantize_floats_gradient(active_isa(), range, x.count, floats(dy), floats(x), x_gradient, sums[0], sums[1],
                             sums[2]);
  }

 private:
  QuantizeRange range_;
};

}  // namespace

std::unique_ptr<OperatorKernel> make_float_quantize(const Operator& op, const KernelInfo* info) {
  return std::make_unique<Quantize>(NodeReader(op, info));
}

std::unique_ptr<OperatorKernel> make_float_quantize_gradient(const Operator& op, const KernelInfo* info) {
  return std::make_unique<QuantizeGradient>(NodeReader(op, info));
}

}  // namespace tritforge::ort
