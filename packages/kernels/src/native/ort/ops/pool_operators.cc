// MaxPool over uint8, NHWC: 0 X [B, H, W, C] → [B, OH, OW, C]. Pixels outside of the image do not count; a window that has no
// other gives 0. Rounds sizes down (ceil_mode 0).
#include <algorithm>
#include <cstring>

#include "ort/ops/node_reader.h"
#include "ort/ops/operator.h"
#include "ort/ops/run_support.h"
#include "ort/ops/shape_inference.h"
#include "ort/status.h"
#include "tritforge/convolution.h"

namespace tritforge::ort {
namespace {

constexpr std::int64_t kMaxSize = std::int64_t{1} << 24;

// One axis: a window of `kernel` taps that are `dilation` apart, `pad` before the image.
struct Axis {
  std::size_t kernel, stride, dilation, pad, pad_end;
};

struct PoolCall {
  const std::uint8_t* x;
  std::uint8_t* y;
  std::size_t height, width, channels, output_height, output_width;
  Axis rows, columns;
};

// Of channels that lie side by side; compilers make vector code of this.
void keep_larger(std::uint8_t* largest, const std::uint8_t* values, std::size_t count) noexcept {
  for (std::size_t i = 0; i < count; ++i) largest[i] = std::max(largest[i], values[i]);
}

// One row of outputs; `index` counts them over all images.
void pool_row(void* context, std::size_t index) noexcept {
  const PoolCall& call = *static_cast<const PoolCall*>(context);
  const std::size_t image = index / call.output_height, oy = index % call.output_height;
  std::uint8_t* out = call.y + index * call.output_width * call.channels;
  std::memset(out, 0, call.output_width * call.channels);
  for (std::size_t ky = 0; ky < call.rows.kernel; ++ky) {
    const std::size_t y = oy * call.rows.stride + ky * call.rows.dilation - call.rows.pad;  // wraps above the image
    if (y >= call.height) continue;
    const std::uint8_t* row = call.x + (image * call.height + y) * call.width * call.channels;
    for (std::size_t ox = 0; ox < call.output_width; ++ox) {
      for (std::size_t kx = 0; kx < call.columns.kernel; ++kx) {
        const std::size_t x = ox * call.columns.stride + kx * call.columns.dilation - call.columns.pad;
        if (x < call.width) keep_larger(out + ox * call.channels, row + x * call.channels, call.channels);
      }
    }
  }
}

class MaxPool final : public OperatorKernel {
 public:
  MaxPool(const Operator& op, const KernelInfo* info) {
    const NodeReader node(op, info);
    const auto kernel = node.integers("kernel_shape", 2, 1, kMaxSize), strides = node.integers("strides", 2, 1, kMaxSize);
    const auto dilations = node.integers("dilations", 2, 1, kMaxSize), pads = node.integers("pads", 4, 0, kMaxSize);
    node.integer_or("ceil_mode", 0, 0, 0);
    const auto axis = [&](std::size_t i) {
      return Axis{static_cast<std::size_t>(kernel[i]), static_cast<std::size_t>(strides[i]),
                  static_cast<std::size_t>(dilations[i]), static_cast<std::size_t>(pads[i]),
                  static_cast<std::size_t>(pads[i + 2])};
    };
    rows_ = axis(0);
    columns_ = axis(1);
  }

  void compute(const RunContext& run) override {
    const TensorView x = run_input(run, 0);
    if (x.shape.size() != 4) throw Failure("X must have the shape [B, H, W, C], got " + printed(x.shape));
    const auto height = static_cast<std::size_t>(x.shape[1]), width = static_cast<std::size_t>(x.shape[2]);
    const std::size_t oh = extent(rows_, height), ow = extent(columns_, width);
    if (oh == 0 || ow == 0) throw Failure("the window is larger than X with its pads, " + printed(x.shape));
    const std::vector<std::int64_t> y_shape{x.shape[0], static_cast<std::int64_t>(oh), static_cast<std::int64_t>(ow),
                                            x.shape[3]};
    checked_product(y_shape);
    PoolCall call{static_cast<const std::uint8_t*>(x.data),
                  static_cast<std::uint8_t*>(run_output(run, y_shape)),
                  height,
                  width,
                  static_cast<std::size_t>(x.shape[3]),
                  oh,
                  ow,
                  rows_,
                  columns_};
    parallel_for(session_threads(run), static_cast<std::size_t>(x.shape[0]) * oh, pool_row, &call);
  }

 private:
  static std::size_t extent(const Axis& axis, std::size_t size) {
    return output_extent(size, axis.pad + axis.pad_end, axis.kernel, axis.dilation, axis.stride);
  }

  Axis rows_{}, columns_{};
};

std::unique_ptr<OperatorKernel> create(const Operator& op, const KernelInfo* info) {
  return std::make_unique<MaxPool>(op, info);
}

void infer(const Operator& op, ShapeInferContext* context) {
  const ShapeInference node(op, context);
  const auto x = node.input(0);
  if (x.size() != 4) throw Failure("X is not known");
  const auto kernel = node.integers("kernel_shape", 2), strides = node.integers("strides", 2);
  const auto dilations = node.integers("dilations", 2), pads = node.integers("pads", 4);
  node.set_output({x[0], window_output(x[1], pads[0], pads[2], kernel[0], dilations[0], strides[0]),
                   window_output(x[2], pads[1], pads[3], kernel[1], dilations[1], strides[1]), x[3]});
}

constexpr ElementType kInputs[] = {ElementType::uint8};
constexpr OperatorDefinition kOperators[] = {{"MaxPool", kInputs, ElementType::uint8, create, infer, false, false, false}};

}  // namespace

std::span<const OperatorDefinition> pool_operators() { return kOperators; }

}  // namespace tritforge::ort
