#include "ort/ops/node_reader.h"

#include <cmath>
#include <cstring>

#include "ort/status.h"

namespace tritforge::ort {
namespace {

// No attribute of ours is a longer list.
constexpr std::size_t kMaxIntegers = 16;

std::string node_name(const Api& api, const KernelInfo* info) {
  std::size_t bytes = 0;
  check(api, api(kKernelInfo_GetNodeName, info, nullptr, &bytes));
  std::string name(bytes, '\0');
  check(api, api(kKernelInfo_GetNodeName, info, name.data(), &bytes));
  name.resize(std::strlen(name.c_str()));
  return name;
}

}  // namespace

std::size_t checked_product(const std::vector<std::int64_t>& sizes) {
  std::size_t product = 1;
  for (const std::int64_t size : sizes) {
    if (size < 0 || __builtin_mul_overflow(product, static_cast<std::size_t>(size), &product)) {
      throw Failure("a tensor of shape " + printed(sizes) + " is impossible");
    }
  }
  return product;
}

std::string printed(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (const std::int64_t size : shape) text += (text.size() == 1 ? "" : ", ") + std::to_string(size);
  return text + "]";
}

TensorView view_tensor(const Api& api, const Value* value) {
  TensorView view{};
  std::size_t rank = 0;
  if (api.has(kGetTensorElementTypeAndShapeDataReference)) {
    const std::int64_t* shape = nullptr;
    check(api, api(kGetTensorElementTypeAndShapeDataReference, value, &view.type, &shape, &rank));
    view.shape.assign(shape, shape + rank);
  } else {
    const auto info = made<TensorInfo>(api, kReleaseTensorTypeAndShapeInfo, kGetTensorTypeAndShape, value);
    check(api, api(kGetTensorElementType, info.get(), &view.type));
    check(api, api(kGetDimensionsCount, info.get(), &rank));
    view.shape.resize(rank);
    check(api, api(kGetDimensions, info.get(), view.shape.data(), rank));
  }
  view.count = checked_product(view.shape);
  void* data = nullptr;
  check(api, api(kGetTensorMutableData, const_cast<Value*>(value), &data));
  view.data = data;
  return view;
}

NodeReader::NodeReader(const Operator& op, const KernelInfo* info)
    : op_(op), api_(op.api), info_(info), where_(std::string(op.definition.name) + " node '" + node_name(op.api, info) + "': ") {
  check(api_, api_(kKernelInfo_GetInputCount, info_, &inputs_));
  const std::size_t most = op.definition.inputs.size(), least = most - op.definition.optional_inputs;
  if (inputs_ < least || inputs_ > most) {
    const std::string or_fewer = least == most ? "" : std::to_string(least) + " to ";
    fail("expected " + or_fewer + std::to_string(most) + " inputs, got " + std::to_string(inputs_));
  }
}

std::size_t NodeReader::outputs() const {
  std::size_t count = 0;
  check(api_, api_(kKernelInfo_GetOutputCount, info_, &count));
  return count;
}

float NodeReader::number(const char* attribute) const {
  float value = 0;
  try {
    check(api_, api_(kKernelInfoGetAttribute_float, info_, attribute, &value));
  } catch (const Failure& failure) {
    fail(std::string("attribute ") + attribute + ": " + failure.what());
  }
  return value;
}

void NodeReader::fail(const std::string& what) const { throw Failure(where_ + what); }

std::int64_t NodeReader::in_range(const std::string& name, std::int64_t value, std::int64_t minimum,
                                  std::int64_t maximum) const {
  if (value >= minimum && value <= maximum) return value;
  fail(name + " must be from " + std::to_string(minimum) + " to " + std::to_string(maximum) + ", got " + std::to_string(value));
}

std::int64_t NodeReader::integer(const char* attribute, std::int64_t minimum, std::int64_t maximum) const {
  std::int64_t value = 0;
  try {
    check(api_, api_(kKernelInfoGetAttribute_int64, info_, attribute, &value));
  } catch (const Failure& failure) {
    fail(std::string("attribute ") + attribute + ": " + failure.what());
  }
  return in_range(attribute, value, minimum, maximum);
}

std::int64_t NodeReader::integer_or(const char* attribute, std::int64_t missing, std::int64_t minimum,
                                    std::int64_t maximum) const {
  std::int64_t value = 0;
  Status* status = api_(kKernelInfoGetAttribute_int64, info_, attribute, &value);
  if (status == nullptr) return in_range(attribute, value, minimum, maximum);
  // Missing and of another type share an error code; only the words differ.
  const std::string message = api_(kGetErrorMessage, status);
  api_(kReleaseStatus, status);
  if (message.find("No attribute") != std::string::npos) return missing;
  fail(std::string("attribute ") + attribute + ": " + message);
}

std::vector<std::int64_t> NodeReader::integers(const char* attribute, std::size_t count, std::int64_t minimum,
                                               std::int64_t maximum) const {
  std::int64_t values[kMaxIntegers];
  std::size_t length = kMaxIntegers;
  try {
    check(api_, api_(kKernelInfoGetAttributeArray_int64, info_, attribute, values, &length));
  } catch (const Failure& failure) {
    fail(std::string("attribute ") + attribute + ": " + failure.what());
  }
  if (length != count) {
    fail(std::string(attribute) + " must have " + std::to_string(count) + " elements, got " + std::to_string(length));
  }
  for (std::size_t i = 0; i < count; ++i) {
    in_range(std::string(attribute) + "[" + std::to_string(i) + "]", values[i], minimum, maximum);
  }
  return std::vector<std::int64_t>(values, values + count);
}

TensorView NodeReader::constant(std::size_t input, const char* name) const {
  int is_constant = 0;
  const Value* value = nullptr;
  check(api_, api_(kKernelInfoGetConstantInput_tensor, info_, input, &is_constant, &value));
  if (is_constant == 0 || value == nullptr) fail(std::string(name) + " must be a constant");
  TensorView view = view_tensor(api_, value);
  if (view.type != op_.definition.inputs[input]) fail(std::string(name) + " has another element type");
  return view;
}

TensorView NodeReader::constant(std::size_t input, const char* name, const std::vector<std::int64_t>& shape) const {
  TensorView view = constant(input, name);
  if (view.shape != shape) fail(std::string(name) + " must have the shape " + printed(shape) + ", got " + printed(view.shape));
  return view;
}

const void* NodeReader::scalar(std::size_t input, const char* name) const {
  const TensorView view = constant(input, name);
  if (view.count != 1) fail(std::string(name) + " must be one number, got the shape " + printed(view.shape));
  return view.data;
}

float NodeReader::scale(std::size_t input, const char* name) const {
  const float value = *static_cast<const float*>(scalar(input, name));
  if (!(value > 0) || !std::isfinite(value)) {
    fail(std::string(name) + " must be positive and finite, got " + std::to_string(value));
  }
  return value;
}

std::uint8_t NodeReader::zero_point(std::size_t input, const char* name) const {
  return *static_cast<const std::uint8_t*>(scalar(input, name));
}

std::vector<std::int64_t> NodeReader::declared_shape(std::size_t input) const {
  const auto type = made<TypeInfo>(api_, kReleaseTypeInfo, kKernelInfo_GetInputTypeInfo, info_, input);
  const TensorInfo* tensor = nullptr;
  check(api_, api_(kCastTypeInfoToTensorInfo, type.get(), &tensor));
  if (tensor == nullptr) return {};
  std::size_t rank = 0;
  check(api_, api_(kGetDimensionsCount, tensor, &rank));
  std::vector<std::int64_t> shape(rank);
  check(api_, api_(kGetDimensions, tensor, shape.data(), rank));
  return shape;
}

}  // namespace tritforge::ort
