#include "ort/load_job.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "addon/arguments.h"
#include "ort/element_types.h"
#include "ort/js_values.h"
#include "ort/library.h"
#include "ort/session.h"
#include "ort/status.h"

namespace tritforge::ort {
namespace {

constexpr double kMaxThreads = 1024;

class LoadJob final : public Job {
 public:
  LoadJob(Napi::Env env, const Library& library, std::variant<std::string, std::vector<std::uint8_t>> model,
          SessionSettings settings)
      : Job(env), library_(library), model_(std::move(model)), settings_(std::move(settings)) {}

 protected:
  void compute() override {
    if (const auto* path = std::get_if<std::string>(&model_)) {
      session_ = LoadedSession::from_file(library_, *path, settings_, cancellation_);
    } else {
      session_ = LoadedSession::from_bytes(library_, std::get<1>(model_), settings_, cancellation_);
    }
    model_ = std::string();
    if (cancellation_.requested()) throw Failure("cancelled");
  }

  napi_value result(Napi::Env env) override {
    const std::shared_ptr<LoadedSession> session = session_;
    auto handle = std::make_unique<SessionHandle>(SessionHandle{std::move(session_)});
    auto external =
        Napi::External<SessionHandle>::New(env, handle.get(), [](Napi::Env, SessionHandle* h) { delete h; });
    handle.release();  // the finalizer deletes it
    external.TypeTag(&kSessionTag);
    Napi::Array result = Napi::Array::New(env, 3);
    result.Set(0u, external);
    result.Set(1u, described(env, session->inputs()));
    result.Set(2u, described(env, session->outputs()));
    return result;
  }

 private:
  static Napi::Array described(Napi::Env env, const std::vector<ValueDescription>& values) {
    Napi::Array list = Napi::Array::New(env, values.size());
    for (std::uint32_t i = 0; i < values.size(); ++i) {
      Napi::Array shape = Napi::Array::New(env, values[i].shape.size());
      for (std::uint32_t axis = 0; axis < values[i].shape.size(); ++axis)
        shape.Set(axis, size_of(env, values[i], axis));
      Napi::Array value = Napi::Array::New(env, 3);
      value.Set(0u, Napi::String::New(env, values[i].name));
      value.Set(1u, Napi::String::New(env, values[i].is_tensor ? element_type_info(values[i].type).name : "undefined"));
      value.Set(2u, shape);
      list.Set(i, value);
    }
    return list;
  }

  static Napi::Value size_of(Napi::Env env, const ValueDescription& value, std::uint32_t axis) {
    if (value.shape[axis] >= 0) return Napi::Number::New(env, static_cast<double>(value.shape[axis]));
    if (value.symbols[axis].empty()) return env.Null();
    return Napi::String::New(env, value.symbols[axis]);
  }

  const Library& library_;
  std::variant<std::string, std::vector<std::uint8_t>> model_;
  SessionSettings settings_;
  std::shared_ptr<LoadedSession> session_;
};

std::variant<std::string, std::vector<std::uint8_t>> model_argument(const Napi::Value& value) {
  if (value.IsString()) return text_argument(value, "model");
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
    throw Napi::TypeError::New(value.Env(), "model must be a path or a Uint8Array");
  }
  const auto bytes = value.As<Napi::Uint8Array>();
  if (bytes.ByteLength() == 0) throw Napi::RangeError::New(value.Env(), "model is empty");
  return std::vector<std::uint8_t>(bytes.Data(), bytes.Data() + bytes.ByteLength());
}

SessionSettings settings_arguments(const Napi::CallbackInfo& info, std::size_t first) {
  SessionSettings settings;
  settings.intra_op_threads = static_cast<int>(integer_argument(info[first], "intraOpThreads", 0, kMaxThreads));
  settings.optimization =
      boolean_argument(info[first + 1], "optimize") ? OptimizationLevel::all : OptimizationLevel::none;
  settings.memory_arena = boolean_argument(info[first + 2], "memoryArena");
  settings.custom_operators = boolean_argument(info[first + 3], "customOperators");
  const Napi::Array keys = list_argument(info[first + 4], "configKeys");
  const Napi::Array values = list_argument(info[first + 5], "configValues");
  if (keys.Length() != values.Length())
    throw Napi::RangeError::New(info.Env(), "configKeys and configValues differ in length");
  for (std::uint32_t i = 0; i < keys.Length(); ++i) {
    settings.config.emplace_back(text_argument(keys.Get(i), "configKeys"),
                                 text_argument(values.Get(i), "configValues"));
  }
  settings.profile_prefix = text_argument(info[first + 6], "profilePrefix");
  settings.optimized_path = text_argument(info[first + 7], "optimizedPath");
  return settings;
}

}  // namespace

std::shared_ptr<Job> make_load_job(const Napi::CallbackInfo& info) {
  const Library& library = external_argument<Library>(info[1], "library", kLibraryTag);
  return std::make_shared<LoadJob>(info.Env(), library, model_argument(info[2]), settings_arguments(info, 3));
}

}  // namespace tritforge::ort
