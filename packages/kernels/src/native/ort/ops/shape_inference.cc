#include "ort/ops/shape_inference.h"

#include "ort/status.h"

namespace tritforge::ort {
namespace {

constexpr std::size_t kMaxIntegers = 8;

}  // namespace

std::vector<InferredSize> ShapeInference::input(std::size_t index) const {
  TensorInfo* info = nullptr;  // the context keeps it
  const ShapeInferContext* context = context_;
  check(api_, api_(kShapeInferContext_GetInputTypeShape, context, index, &info));
  std::size_t rank = 0;
  check(api_, api_(kGetDimensionsCount, info, &rank));
  std::vector<std::int64_t> sizes(rank);
  check(api_, api_(kGetDimensions, info, sizes.data(), rank));
  std::vector<const char*> symbols(rank, nullptr);
  check(api_, api_(kGetSymbolicDimensions, info, symbols.data(), rank));
  std::vector<InferredSize> shape;
  for (std::size_t i = 0; i < rank; ++i) shape.push_back({sizes[i], symbols[i] == nullptr ? "" : symbols[i]});
  return shape;
}

std::vector<std::int64_t> ShapeInference::integers(const char* attribute, std::size_t count) const {
  const OpAttribute* found = nullptr;
  const ShapeInferContext* context = context_;
  check(api_, api_(kShapeInferContext_GetAttribute, context, attribute, &found));
  std::int64_t values[kMaxIntegers];
  std::size_t bytes = 0;
  check(api_, api_(kReadOpAttr, found, AttributeType::integers, static_cast<void*>(values), sizeof values, &bytes));
  if (bytes != count * sizeof(std::int64_t)) throw Failure("another number of elements");
  return std::vector<std::int64_t>(values, values + count);
}

std::int64_t ShapeInference::integer(const char* attribute) const {
  const OpAttribute* found = nullptr;
  const ShapeInferContext* context = context_;
  check(api_, api_(kShapeInferContext_GetAttribute, context, attribute, &found));
  std::int64_t value = 0;
  std::size_t bytes = 0;
  check(api_, api_(kReadOpAttr, found, AttributeType::integer, static_cast<void*>(&value), sizeof value, &bytes));
  return value;
}

void ShapeInference::set_output(const std::vector<InferredSize>& shape) const {
  std::vector<std::int64_t> sizes;
  std::vector<const char*> symbols;
  for (const InferredSize& size : shape) {
    if (!size.is_known() && size.symbol.empty()) return;
    sizes.push_back(size.is_known() ? size.value : -1);
    symbols.push_back(size.is_known() ? "" : size.symbol.c_str());
  }
  const auto info = made<TensorInfo>(api_, kReleaseTensorTypeAndShapeInfo, kCreateTensorTypeAndShapeInfo);
  check(api_, api_(kSetTensorElementType, info.get(), op_.definition.output));
  check(api_, api_(kSetDimensions, info.get(), sizes.data(), sizes.size()));
  check(api_, api_(kSetSymbolicDimensions, info.get(), symbols.data(), symbols.size()));
  const ShapeInferContext* context = context_;
  const TensorInfo* made_info = info.get();
  check(api_, api_(kShapeInferContext_SetOutputTypeShape, context, std::size_t{0}, made_info));
}

InferredSize window_output(const InferredSize& input, std::int64_t pad_begin, std::int64_t pad_end, std::int64_t kernel,
                           std::int64_t dilation, std::int64_t stride) {
  const std::int64_t reach = (kernel - 1) * dilation + 1 - pad_begin - pad_end;
  if (input.is_known()) {
    if (input.value < reach || stride < 1) throw Failure("the window does not fit");
    return {(input.value - reach) / stride + 1, ""};
  }
  if (input.symbol.empty() || (reach == 1 && stride == 1)) return input;
  return {-1, "floor((" + input.symbol + " - " + std::to_string(reach) + ") / " + std::to_string(stride) + " + 1)"};
}

}  // namespace tritforge::ort
