// float32 operators of training graphs, images NHWC, weights [M, C, KH, KW]. Formulas: tritforge/training.h.
//
//   FloatConv                X, W, B?            → Y              strides, pads [top, left, bottom, right], group
//   FloatConvInputGradient   Ȳ, W, A?            → X̄ + A          strides, pads, group, input_shape [H, W]
//   FloatConvWeightGradient  X, Ȳ                → W̄              strides, pads, group, kernel_shape
//   NormalizeBatch           X, γ, β, A?         → Y, μ, v, r     epsilon, rectify
//   NormalizeChannels        X, γ, β, μ, v, A?   → Y, r           epsilon, rectify
//   NormalizeBatchGradient   Ȳ, X, Y or β, γ, μ, r → X̄, γ̄, β̄, Ā?  rectify, given: μ and r do not depend on X; β where A was not added
//   FloatMaxPool             X                   → Y              kernel_shape, strides, pads, output_shape [OH, OW]
//   FloatMaxPoolGradient     Ȳ, X, Y             → X̄              as above
//   FloatQuantize            X, low, high, s     → Y              least, most: codes less the zero point
//   FloatQuantizeGradient    Ȳ, X, low, high, s  → X̄, low̄, high̄, s̄  as above
//
// The group is 1, or as many as channels, of X as of Y.
#include <cmath>

#include "ort/ops/node_reader.h"
#include "ort/ops/operator.h"
#include "ort/ops/run_support.h"
#include "ort/ops/shape_inference.h"
#include "ort/status.h"
#include "tritforge/training.h"

namespace tritforge::ort {
namespace {

constexpr std::int64_t kMaxSize = std::int64_t{1} << 24;

const float* floats(const TensorView& view) { return static_cast<const float*>(view.data); }

float* output(const RunContext& run, const std::vector<std::int64_t>& shape, std::size_t index = 0) {
  return static_cast<float*>(run_output(run, shape, index));
}

std::size_t size_of(std::int64_t value) { return static_cast<std::size_t>(value); }

// A tensor of four positive sizes.
TensorView run_image(const RunContext& run, std::size_t index, const char* name) {
  const TensorView view = run_input(run, index);
  if (view.shape.size() != 4 || view.count == 0) {
    throw Failure(std::string(name) + " must have four sizes that are not 0, got " + printed(view.shape));
  }
  for (const std::int64_t size : view.shape) {
    if (size > kMaxSize) throw Failure(std::string(name) + " is too large: " + printed(view.shape));
  }
  return view;
}

void require_shape(const TensorView& view, const std::vector<std::int64_t>& shape, const char* name) {
  if (view.shape != shape) {
    throw Failure(std::string(name) + " must have the shape " + printed(shape) + ", got " + printed(view.shape));
  }
}

struct Windows {
  explicit Windows(const NodeReader& node)
      : strides(node.integers("strides", 2, 1, kMaxSize)),
        pads(node.integers("pads", 4, 0, kMaxSize)),
        group(node.integer("group", 1, kMaxSize)) {}

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
    return {size_of(x[0]),       size_of(x[1]),         size_of(x[2]),         size_of(x[3]),
            extent(0, kernel_height), extent(1, kernel_width), size_of(outputs), size_of(kernel_height),
            size_of(kernel_width),    size_of(strides[0]),     size_of(strides[1]), size_of(pads[0]),
            size_of(pads[1]),         group > 1};
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
    const float* bias = nullptr;
    if (has_bias_) {
      const TensorView b = run_input(run, 2);
      require_shape(b, {w.shape[0]}, "B");
      bias = floats(b);
    }
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
      : windows_(node), input_(node.integers("input_shape", 2, 1, kMaxSize)), adds_(node.inputs() > 2) {}

  void compute(const RunContext& run) override {
    const TensorView dy = run_image(run, 0, "the gradient of Y"), w = run_image(run, 1, "W");
    const std::int64_t channels = windows_.group > 1 ? w.shape[0] : w.shape[1];
    const std::vector<std::int64_t> shape{dy.shape[0], input_[0], input_[1], channels};
    checked_product(shape);
    require_shape(w, windows_.weight_shape(w.shape[0], channels, w.shape[2], w.shape[3]), "W");
    const FloatConvolution c = windows_.between(shape, w.shape[0], w.shape[2], w.shape[3]);
    require_shape(dy, output_shape(c), "the gradient of Y");
    const float* added = nullptr;
    if (adds_) {
      const TensorView a = run_input(run, 2);
      require_shape(a, shape, "A");
      added = floats(a);
    }
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
      : windows_(node), kernel_(node.integers("kernel_shape", 2, 1, kMaxSize)) {}

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
    const float low = number(run, first, "low"), high = number(run, first + 1, "high"), scale = number(run, first + 2, "scale");
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

class PoolWindows {
 public:
  explicit PoolWindows(const NodeReader& node)
      : kernel_(node.integers("kernel_shape", 2, 1, kMaxSize)),
        strides_(node.integers("strides", 2, 1, kMaxSize)),
        pads_(node.integers("pads", 4, 0, kMaxSize)),
        output_(node.integers("output_shape", 2, 1, kMaxSize)) {}

  FloatPool over(const std::vector<std::int64_t>& x) const {
    for (std::size_t axis = 0; axis < 2; ++axis) {
      if (pads_[axis] >= kernel_[axis] || (output_[axis] - 1) * strides_[axis] >= x[axis + 1] + pads_[axis]) {
        throw Failure("windows of " + printed(kernel_) + " are beside X " + printed(x));
      }
    }
    return {size_of(x[0]),       size_of(x[1]),       size_of(x[2]),        size_of(x[3]),
            size_of(output_[0]), size_of(output_[1]), size_of(kernel_[0]),  size_of(kernel_[1]),
            size_of(strides_[0]), size_of(strides_[1]), size_of(pads_[0]), size_of(pads_[1])};
  }

  std::vector<std::int64_t> output_of(const std::vector<std::int64_t>& x) const { return {x[0], output_[0], output_[1], x[3]}; }

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
      : epsilon_(node.number("epsilon")), rectifies_(node.integer("rectify", 0, 1) == 1), adds_(node.inputs() > kAdded) {
    if (!(epsilon_ >= 0) || !std::isfinite(epsilon_)) node.fail("epsilon must be finite and not negative");
  }

  void compute(const RunContext& run) override {
    const TensorView x = run_image(run, 0, "X");
    const std::vector<std::int64_t> channels{x.shape[3]};
    const float* vectors[kAdded];
    for (std::size_t i = 1; i < kAdded; ++i) {
      const TensorView vector = run_input(run, i);
      require_shape(vector, channels, kNames[i]);
      vectors[i] = floats(vector);
    }
    const float* added = nullptr;
    if (adds_) {
      const TensorView a = run_input(run, kAdded);
      require_shape(a, x.shape, "A");
      added = floats(a);
    }
    const Scratch scratch(batch_normalization_scratch_bytes(size_of(x.shape[3])));
    const BatchNormalization normalization = normalization_of(x, epsilon_, rectifies_);
    float* const y = output(run, x.shape);
    float* statistics[3];
    for (std::size_t i = 0; i < (kGiven ? 1 : 3); ++i) statistics[i] = output(run, channels, i + 1);
    if constexpr (kGiven) {
      normalize_channels(active_isa(), normalization, floats(x), added, vectors[1], vectors[2], vectors[3], vectors[4], y,
                         statistics[0], scratch.data());
    } else {
      normalize_batch(active_isa(), normalization, floats(x), added, vectors[1], vectors[2], y, statistics[0], statistics[1],
                      statistics[2], scratch.data());
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
      : rectifies_(node.integer("rectify", 0, 1) == 1), is_given_(node.integer("given", 0, 1) == 1), adds_(node.outputs() > 3) {
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

template <typename Kernel>
std::unique_ptr<OperatorKernel> create(const Operator& op, const KernelInfo* info) {
  return std::make_unique<Kernel>(NodeReader(op, info));
}

// Shapes are written into training graphs.
void leave_open(const Operator&, ShapeInferContext*) {}

constexpr ElementType kFloat = ElementType::float32;
constexpr ElementType kFloats[] = {kFloat, kFloat, kFloat, kFloat, kFloat, kFloat};
constexpr std::span<const ElementType> kAll(kFloats);

constexpr OperatorDefinition floats_to_floats(const char* name, std::size_t inputs, std::size_t optional_inputs, std::size_t outputs,
                                    std::size_t optional_outputs,
                                    std::unique_ptr<OperatorKernel> (*make)(const Operator&, const KernelInfo*)) {
  OperatorDefinition definition{name, kAll.first(inputs), kFloat, make, leave_open};
  definition.optional_inputs = optional_inputs;
  definition.outputs = outputs;
  definition.optional_outputs = optional_outputs;
  return definition;
}

constexpr OperatorDefinition kOperators[] = {
    floats_to_floats("FloatConv", 3, 1, 1, 0, create<Conv>),
    floats_to_floats("FloatConvInputGradient", 3, 1, 1, 0, create<ConvInputGradient>),
    floats_to_floats("FloatConvWeightGradient", 2, 0, 1, 0, create<ConvWeightGradient>),
    floats_to_floats("FloatMaxPool", 1, 0, 1, 0, create<MaxPool>),
    floats_to_floats("FloatMaxPoolGradient", 3, 0, 1, 0, create<MaxPoolGradient>),
    floats_to_floats("FloatQuantize", 4, 0, 1, 0, create<Quantize>),
    floats_to_floats("FloatQuantizeGradient", 5, 0, 4, 0, create<QuantizeGradient>),
    floats_to_floats("NormalizeBatch", 4, 1, 4, 0, create<Normalize<false>>),
    floats_to_floats("NormalizeChannels", 6, 1, 2, 0, create<Normalize<true>>),
    floats_to_floats("NormalizeBatchGradient", 6, 0, 4, 1, create<NormalizeBatchGradient>),
};

}  // namespace

std::span<const OperatorDefinition> training_operators() { return kOperators; }

}  // namespace tritforge::ort
