#include "arguments.h"

#include <algorithm>
#include <cmath>

namespace tritforge {
namespace {

// Numbers as JavaScript prints them, for messages.
std::string printed(const Napi::Value& value) { return value.ToString().Utf8Value(); }

template <typename T>
std::vector<T> copied_elements(const Napi::Value& value, const std::string& name, const char* type_name,
                               napi_typedarray_type type, std::uint64_t length) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    throw Napi::TypeError::New(value.Env(), name + " must be a " + type_name);
  }
  const auto array = value.As<Napi::TypedArrayOf<T>>();
  if (array.ElementLength() != length) {
    throw Napi::RangeError::New(value.Env(), name + " must have " + std::to_string(length) + " elements, got " +
                                                 std::to_string(array.ElementLength()));
  }
  const T* first = array.Data();
  return first == nullptr ? std::vector<T>() : std::vector<T>(first, first + array.ElementLength());
}

}  // namespace

std::size_t integer_argument(const Napi::Value& value, const std::string& name, double minimum, double maximum) {
  if (!value.IsNumber()) throw Napi::TypeError::New(value.Env(), name + " must be a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= minimum && number <= maximum) || std::trunc(number) != number) {
    throw Napi::RangeError::New(value.Env(), name + " must be an integer from " +
                                                 std::to_string(static_cast<std::int64_t>(minimum)) + " to " +
                                                 std::to_string(static_cast<std::int64_t>(maximum)) + ", got " +
                                                 printed(value));
  }
  return static_cast<std::size_t>(number);
}

float scale_argument(const Napi::Value& value, const std::string& name) {
  if (!value.IsNumber()) throw Napi::TypeError::New(value.Env(), name + " must be a number");
  const float scale = static_cast<float>(value.As<Napi::Number>().DoubleValue());
  if (!(scale > 0) || !std::isfinite(scale)) {
    throw Napi::RangeError::New(value.Env(), name + " must be a positive float32, got " + printed(value));
  }
  return scale;
}

std::vector<std::uint8_t> bytes_argument(const Napi::Value& value, const std::string& name, std::uint64_t length) {
  return copied_elements<std::uint8_t>(value, name, "Uint8Array", napi_uint8_array, length);
}

std::vector<std::int8_t> int8_argument(const Napi::Value& value, const std::string& name, std::uint64_t length) {
  return copied_elements<std::int8_t>(value, name, "Int8Array", napi_int8_array, length);
}

std::vector<std::int32_t> int32_argument(const Napi::Value& value, const std::string& name, std::uint64_t length) {
  return copied_elements<std::int32_t>(value, name, "Int32Array", napi_int32_array, length);
}

std::vector<float> floats_argument(const Napi::Value& value, const std::string& name, std::uint64_t length) {
  std::vector<float> floats = copied_elements<float>(value, name, "Float32Array", napi_float32_array, length);
  const auto wrong = std::find_if(floats.begin(), floats.end(), [](float f) { return !std::isfinite(f); });
  if (wrong != floats.end()) {
    throw Napi::RangeError::New(value.Env(), name + "[" + std::to_string(wrong - floats.begin()) + "] must be finite");
  }
  return floats;
}

std::vector<float> scales_argument(const Napi::Value& value, const std::string& name, std::uint64_t length) {
  std::vector<float> scales = copied_elements<float>(value, name, "Float32Array", napi_float32_array, length);
  const auto wrong = std::find_if(scales.begin(), scales.end(), [](float s) { return !(s > 0) || !std::isfinite(s); });
  if (wrong != scales.end()) {
    throw Napi::RangeError::New(value.Env(), name + "[" + std::to_string(wrong - scales.begin()) +
                                                 "] must be positive and finite");
  }
  return scales;
}

}  // namespace tritforge
