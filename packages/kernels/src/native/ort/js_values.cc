#include "ort/js_values.h"

#include "addon/arguments.h"

namespace tritforge::ort {
namespace {

constexpr double kMaxSafeInteger = 9007199254740991.0;
constexpr std::uint32_t kMaxListLength = 1 << 16;

}  // namespace

void expect_arguments(const Napi::CallbackInfo& info, std::size_t count) {
  if (info.Length() == count) return;
  throw Napi::TypeError::New(info.Env(),
                             "expected " + std::to_string(count) + " arguments, got " + std::to_string(info.Length()));
}

std::int64_t id_argument(const Napi::Value& value) {
  return static_cast<std::int64_t>(integer_argument(value, "id", 0, kMaxSafeInteger));
}

SessionHandle& session_handle_argument(const Napi::Value& value) {
  return external_argument<SessionHandle>(value, "session", kSessionTag);
}

std::shared_ptr<LoadedSession> session_argument(const Napi::Value& value) {
  const SessionHandle& handle = session_handle_argument(value);
  if (!handle.session) throw Napi::Error::New(value.Env(), "the session was released");
  return handle.session;
}

// Text goes to functions that take C strings.
std::string text_argument(const Napi::Value& value, const std::string& name) {
  if (!value.IsString()) throw Napi::TypeError::New(value.Env(), name + " must be a string");
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.find('\0') != std::string::npos)
    throw Napi::RangeError::New(value.Env(), name + " must not contain a null character");
  return text;
}

bool boolean_argument(const Napi::Value& value, const char* name) {
  if (!value.IsBoolean()) throw Napi::TypeError::New(value.Env(), std::string(name) + " must be a boolean");
  return value.As<Napi::Boolean>().Value();
}

Napi::Array list_argument(const Napi::Value& value, const std::string& name) {
  if (!value.IsArray()) throw Napi::TypeError::New(value.Env(), name + " must be an array");
  const auto list = value.As<Napi::Array>();
  if (list.Length() > kMaxListLength) throw Napi::RangeError::New(value.Env(), name + " has too many elements");
  return list;
}

std::vector<std::size_t> indexes_argument(const Napi::Value& value, const std::string& name, std::size_t count) {
  const Napi::Array list = list_argument(value, name);
  std::vector<std::size_t> indexes;
  for (std::uint32_t i = 0; i < list.Length(); ++i) {
    indexes.push_back(
        integer_argument(list.Get(i), name + "[" + std::to_string(i) + "]", 0, static_cast<double>(count) - 1));
  }
  return indexes;
}

std::vector<std::int64_t> shape_argument(const Napi::Value& value, const std::string& name) {
  const Napi::Array list = list_argument(value, name);
  std::vector<std::int64_t> shape;
  for (std::uint32_t i = 0; i < list.Length(); ++i) {
    shape.push_back(static_cast<std::int64_t>(
        integer_argument(list.Get(i), name + "[" + std::to_string(i) + "]", 0, kMaxDimension)));
  }
  return shape;
}

napi_typedarray_type array_type(ElementType type) {
  switch (type) {
    case ElementType::float32: return napi_float32_array;
    case ElementType::float64: return napi_float64_array;
    case ElementType::int8: return napi_int8_array;
    case ElementType::int16: return napi_int16_array;
    case ElementType::uint16:
    case ElementType::float16: return napi_uint16_array;
    case ElementType::int32: return napi_int32_array;
    case ElementType::uint32: return napi_uint32_array;
    case ElementType::int64: return napi_bigint64_array;
    case ElementType::uint64: return napi_biguint64_array;
    default: return napi_uint8_array;
  }
}

}  // namespace tritforge::ort
