// FloatMaxPool and its gradient.
#include "ort/ops/training_arguments.h"
#include "ort/ops/training_operators.h"
#include "tritforge/training.h"

namespace tritforge::ort {
namespace {

class PoolWindows {
 public:
  explicit PoolWindows(const NodeReader& node)
      : kernel_(node.integers("kernel_shape", 2, 1, kMaxTrainingSize)),
        strides_(node.integers("strides", 2, 1, kMaxTrainingSize)),
        pads_(node.integers("pads", 4, 0, kMaxTrainingSize)),
        output_(node.integers("output_shape", 2, 1, kMaxTrainingSize)) {}

  FloatPool over(const std::vector<std::int64_t>& x) const {
    for (std::size_t axis = 0; axis < 2; ++axis) {
      if (pads_[axis] >= kernel_[axis] || (output_[axis] - 1) * strides_[axis] >= x[axis + 1] + pads_[axis]) {
        throw Failure("windows of " + printed(kernel_) + " are beside X " + printed(x));
      }
    }
    return {size_of(x[0]),        size_of(x[1]),        size_of(x[2]),       size_of(x[3]),
            size_of(output_[0]),  size_of(output_[1]),  size_of(kernel_[0]), size_of(kernel_[1]),
            size_of(strides_[0]), size_of(strides_[1]), size_of(pads_[0]),   size_of(pads_[1])};
  }

  std::vector<std::int64_t> output_of(const std::vector<std::int64_t>& x) const {
    return {x[0], output_[0], output_[1], x[3]};
  }

 private:
  std::vector<std::int64_t> kernel_, strides_, pads_, output_;
};

class MaxPool final : public OperatorKernel {
 public:
  explicit MaxPool(const NodeReader& node) : windows_(node) {}

  void compute(const RunContext& run) override {
    const TensorView x = run_image(run, 0, "X");
    const FloatPool pool = windows_.over(x.shape);
    checked_product(windows_.output_of(x.shape));
    pool_largest(active_isa(), pool, floats(x), output(run, windows_.output_of(x.shape)));
  }

 private:
  PoolWindows windows_;
};

class MaxPoolGradient final : public OperatorKernel {
 public:
  explicit MaxPoolGradient(const NodeReader& node) : windows_(node) {}

  void compute(const RunContext& run) override {
    const TensorView dy = run_image(run, 0, "the gradient of Y"), x = run_image(run, 1, "X"), y = run_input(run, 2);
    const FloatPool pool = windows_.over(x.shape);
    require_shape(dy, windows_.output_of(x.shape), "the gradient of Y");
    require_shape(y, dy.shape, "Y");
    pool_largest_gradient(active_isa(), pool, floats(dy), floats(x), floats(y), output(run, x.shape));
  }

 private:
  PoolWindows windows_;
};

}  // namespace

std::unique_ptr<OperatorKernel> make_float_max_pool(const Operator& op, const KernelInfo* info) {
  return std::make_unique<MaxPool>(NodeReader(op, info));
}

std::unique_ptr<OperatorKernel> make_float_max_pool_gradient(const Operator& op, const KernelInfo* info) {
  return std::make_unique<MaxPoolGradient>(NodeReader(op, info));
}

}  // namespace tritforge::ort
