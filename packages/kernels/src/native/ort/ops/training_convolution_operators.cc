// FloatConv and its gradients. The group is 1, or as many as channels, of X as of Y.
#include "ort/ops/training_arguments.h"
#include "ort/ops/training_operators.h"
#include "tritforge/training.h"

namespace tritforge::ort {
namespace {

struct Windows {
  explicit Windows(const NodeReader& node)
      : strides(node.integers("strides", 2, 1, kMaxTrainingSize)),
        pads(node.integers("pads", 4, 0, kMaxTrainingSize)),
        group(node.integer("group", 1, kMaxTrainingSize)) {}

  // Between an image [N, H, W, C] and outputs of M channels, the kernel [KH, KW].
  FloatConvolution between(const std::vector<std::int64_t>& x, std::int64_t outputs, std::int64_t kernel_height,
                           std::int64_t kernel_width) const {
    const auto extent = [&](std::size_t axis, std::int64_t kernel) {
      const std::int64_t padded = x[axis + 1] + pads[axis] + pads[axis + 2];
      if (kernel > padded || pads[axis] >= kernel || pads[axis + 2] >= kernel) {
        throw Failure("a kernel of " + std::to_string(kernel) + " does not fit X " + printed(x) + " with its pads");
      }
      return size_of((padded - kernel) / strides[axis] + 1);
    };
    return {size_of(x[0]),
            size_of(x[1]),
            size_of(x[2]),
            size_of(x[3]),
            extent(0, kernel_height),
            extent(1, kernel_width),
            size_of(outputs),
            size_of(kernel_height),
            size_of(kernel_width),
            size_of(strides[0]),
            size_of(strides[1]),
            size_of(pads[0]),
            size_of(pads[1]),
            group > 1};
  }

  // Of weights between so many channels.
  std::vector<std::int64_t> weight_shape(std::int64_t outputs, std::int64_t inputs, std::int64_t kernel_height,
                                         std::int64_t kernel_width) const {
    if (group > 1 && (group != inputs || group != outputs)) {
      throw Failure("group must be 1 or the number of channels, of X and of Y");
    }
    return {outputs, inputs / group, kernel_height, kernel_width};
  }

  std::vector<std::int64_t> strides, pads;
  std::int64_t group;
};

std::vector<std::int64_t> output_shape(const FloatConvolution& c) {
  const auto size = [](std::size_t value) { return static_cast<std::int64_t>(value); };
  return {size(c.images), size(c.output_height), size(c.output_width), size(c.outputs)};
}

class Conv final : public OperatorKernel {
 public:
  explicit Conv(const NodeReader& node) : windows_(node), has_bias_(node.inputs() > 2) {}

  void compute(const RunContext& run) override {
    const TensorView x = run_image(run, 0, "X"), w = run_image(run, 1, "W");
    const FloatConvolution c = windows_.between(x.shape, w.shape[0], w.shape[2], w.shape[3]);
    require_shape(w, windows_.weight_shape(w.shape[0], x.shape[3], w.shape[2], w.shape[3]), "W");
    const float* const bias = has_bias_ ? run_floats(run, 2, {w.shape[0]}, "B") : nullptr;
    checked_product(output_shape(c));
    const Scratch scratch(float_convolution_scratch_bytes(c));
    convolve_floats(active_isa(), c, floats(x), floats(w), bias, output(run, output_shape(c)), scratch.data());
  }

 private:
  Windows windows_;
  bool has_bias_;
};

class ConvInputGradient final : public OperatorKernel {
 public:
  explicit ConvInputGradient(const NodeReader& node)
      : windows_(node), input_(node.integers("input_shape", 2, 1, kMaxTrainingSize)), adds_(node.inputs() > 2) {}

  void compute(const RunContext& run) override {
    const TensorView dy = run_image(run, 0, "the gradient of Y"), w = run_image(run, 1, "W");
    const std::int64_t channels = windows_.group > 1 ? w.shape[0] : w.shape[1];
    const std::vector<std::int64_t> shape{dy.shape[0], input_[0], input_[1], channels};
    checked_product(shape);
    require_shape(w, windows_.weight_shape(w.shape[0], channels, w.shape[2], w.shape[3]), "W");
    const FloatConvolution c = windows_.between(shape, w.shape[0], w.shape[2], w.shape[3]);
    require_shape(dy, output_shape(c), "the gradient of Y");
    const float* const added = adds_ ? run_floats(run, 2, shape, "A") : nullptr;
    const Scratch scratch(float_convolution_scratch_bytes(c));
    convolve_floats_input_gradient(active_isa(), c, floats(dy), floats(w), added, output(run, shape), scratch.data());
  }

 private:
  Windows windows_;
  std::vector<std::int64_t> input_;
  bool adds_;
};

class ConvWeightGradient final : public OperatorKernel {
 public:
  explicit ConvWeightGradient(const NodeReader& node)
      : windows_(node), kernel_(node.integers("kernel_shape", 2, 1, kMaxTrainingSize)) {}

  void compute(const RunContext& run) override {
    const TensorView x = run_image(run, 0, "X"), dy = run_image(run, 1, "the gradient of Y");
    const std::vector<std::int64_t> shape = windows_.weight_shape(dy.shape[3], x.shape[3], kernel_[0], kernel_[1]);
    checked_product(shape);
    const FloatConvolution c = windows_.between(x.shape, dy.shape[3], kernel_[0], kernel_[1]);
    require_shape(dy, output_shape(c), "the gradient of Y");
    const Scratch scratch(float_convolution_scratch_bytes(c));
    convolve_floats_weight_gradient(active_isa(), c, floats(x), floats(dy), output(run, shape), scratch.data());
  }

 private:
  Windows windows_;
  std::vector<std::int64_t> kernel_;
};

}  // namespace

std::unique_ptr<OperatorKernel> make_float_conv(const Operator& op, const KernelInfo* info) {
  return std::make_unique<Conv>(NodeReader(op, info));
}

std::unique_ptr<OperatorKernel> make_float_conv_input_gradient(const Operator& op, const KernelInfo* info) {
  return std::make_unique<ConvInputGradient>(NodeReader(op, info));
}

std::unique_ptr<OperatorKernel> make_float_conv_weight_gradient(const Operator& op, const KernelInfo* info) {
  return std::make_unique<ConvWeightGradient>(NodeReader(op, info));
}

}  // namespace tritforge::ort
