#include "ort/session_exports.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "addon/arguments.h"
#include "ort/element_types.h"
#include "ort/job.h"
#include "ort/library.h"
#include "ort/session.h"
#include "ort/status.h"

namespace tritforge::ort {
namespace {

constexpr double kMaxSafeInteger = 9007199254740991.0;
constexpr double kMaxThreads = 1024;
constexpr double kMaxWaitMs = 60000;
constexpr std::uint32_t kMaxListLength = 1 << 16;
constexpr std::size_t kInputAlignment = 64;
// Larger outputs reach JavaScript without another copy.
constexpr std::size_t kCopiedBytes = 64 << 10;

constexpr napi_type_tag kLibraryTag{0x6a3f2b51c07d4e19, 0x9b1e5d2a84f06c37};
constexpr napi_type_tag kSessionTag{0x2f84d19b6c5e4a70, 0xb7c3e0915a2d48f6};

struct SessionHandle {
  std::shared_ptr<LoadedSession> session;  // null once released
};

using ChannelHandle = std::shared_ptr<JobChannel>;

// --- arguments

void expect_arguments(const Napi::CallbackInfo& info, std::size_t count) {
  if (info.Length() == count) return;
  throw Napi::TypeError::New(info.Env(), "expected " + std::to_string(count) + " arguments, got " + std::to_string(info.Length()));
}

std::int64_t id_argument(const Napi::Value& value) {
  return static_cast<std::int64_t>(integer_argument(value, "id", 0, kMaxSafeInteger));
}

template <typename T>
T& external_argument(const Napi::Value& value, const char* name, const napi_type_tag& tag) {
  if (!value.IsExternal() || !value.As<Napi::External<T>>().CheckTypeTag(&tag)) {
    throw Napi::TypeError::New(value.Env(), std::string(name) + " is not one of this addon's");
  }
  return *value.As<Napi::External<T>>().Data();
}

std::shared_ptr<LoadedSession> session_argument(const Napi::Value& value) {
  SessionHandle& handle = external_argument<SessionHandle>(value, "session", kSessionTag);
  if (!handle.session) throw Napi::Error::New(value.Env(), "the session was released");
  return handle.session;
}

// Text goes to functions that take C strings.
std::string text_argument(const Napi::Value& value, const std::string& name) {
  if (!value.IsString()) throw Napi::TypeError::New(value.Env(), name + " must be a string");
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.find('\0') != std::string::npos) throw Napi::RangeError::New(value.Env(), name + " must not contain a null character");
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
    indexes.push_back(integer_argument(list.Get(i), name + "[" + std::to_string(i) + "]", 0, static_cast<double>(count) - 1));
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

// JavaScript's view of an element type.
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

// --- loading

struct FreeAligned {
  void operator()(std::uint8_t* memory) const { std::free(memory); }
};

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
    auto external = Napi::External<SessionHandle>::New(env, handle.get(), [](Napi::Env, SessionHandle* h) { delete h; });
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
      for (std::uint32_t axis = 0; axis < values[i].shape.size(); ++axis) shape.Set(axis, size_of(env, values[i], axis));
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
  settings.optimization = boolean_argument(info[first + 1], "optimize") ? OptimizationLevel::all : OptimizationLevel::none;
  settings.memory_arena = boolean_argument(info[first + 2], "memoryArena");
  settings.custom_operators = boolean_argument(info[first + 3], "customOperators");
  const Napi::Array keys = list_argument(info[first + 4], "configKeys");
  const Napi::Array values = list_argument(info[first + 5], "configValues");
  if (keys.Length() != values.Length()) throw Napi::RangeError::New(info.Env(), "configKeys and configValues differ in length");
  for (std::uint32_t i = 0; i < keys.Length(); ++i) {
    settings.config.emplace_back(text_argument(keys.Get(i), "configKeys"), text_argument(values.Get(i), "configValues"));
  }
  settings.profile_prefix = text_argument(info[first + 6], "profilePrefix");
  settings.optimized_path = text_argument(info[first + 7], "optimizedPath");
  return settings;
}

// --- running

class RunJob final : public Job {
 public:
  RunJob(Napi::Env env, std::shared_ptr<LoadedSession> session) : Job(env), session_(std::move(session)) {}

  // Checks the tensors and copies them: JavaScript may detach or resize a buffer while a thread reads. Nothing of JavaScript
  // runs between the checks and the copy.
  void take_inputs(const Napi::Value& indexes_value, const Napi::Value& shapes_value, const Napi::Value& data_value) {
    const auto indexes = indexes_argument(indexes_value, "inputIndexes", session_->inputs().size());
    const Napi::Array shapes = list_argument(shapes_value, "shapes");
    const Napi::Array data = list_argument(data_value, "data");
    if (shapes.Length() != indexes.size() || data.Length() != indexes.size()) {
      throw Napi::RangeError::New(indexes_value.Env(), "inputIndexes, shapes and data differ in length");
    }
    std::vector<Napi::Value> arrays;
    for (std::uint32_t i = 0; i < indexes.size(); ++i) {
      const std::string name = "the shape of " + session_->inputs()[indexes[i]].name;
      inputs_.push_back({indexes[i], shape_argument(shapes.Get(i), name), nullptr, 0});
      arrays.push_back(data.Get(i));
    }
    copy_inputs(arrays);
  }

  void take_outputs(const Napi::Value& indexes) {
    output_indexes_ = indexes_argument(indexes, "outputIndexes", session_->outputs().size());
    if (output_indexes_.empty()) throw Napi::RangeError::New(indexes.Env(), "outputIndexes must not be empty");
  }

 protected:
  void compute() override {
    outputs_ = session_->run(inputs_, output_indexes_, cancellation_);
    block_.reset();
    session_.reset();
  }

  napi_value result(Napi::Env env) override {
    Napi::Array results = Napi::Array::New(env, outputs_.size());
    for (std::uint32_t i = 0; i < outputs_.size(); ++i) {
      Napi::Array shape = Napi::Array::New(env, outputs_[i].shape.size());
      for (std::uint32_t axis = 0; axis < outputs_[i].shape.size(); ++axis) {
        shape.Set(axis, Napi::Number::New(env, static_cast<double>(outputs_[i].shape[axis])));
      }
      Napi::Array output = Napi::Array::New(env, 3);
      output.Set(0u, Napi::String::New(env, element_type_info(outputs_[i].type).name));
      output.Set(1u, shape);
      output.Set(2u, to_array(env, outputs_[i]));
      results.Set(i, output);
    }
    return results;
  }

 private:
  static constexpr std::size_t rounded_up(std::size_t bytes) {
    return (bytes + kInputAlignment - 1) / kInputAlignment * kInputAlignment;
  }

  struct Bytes {
    const void* data;
    std::size_t count;
  };

  void copy_inputs(const std::vector<Napi::Value>& arrays) {
    std::vector<Bytes> sources;
    std::size_t total_bytes = kInputAlignment;  // so that no input is at a null pointer
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      sources.push_back(checked_bytes(arrays[i], session_->inputs()[inputs_[i].index], inputs_[i].shape));
      total_bytes += rounded_up(sources[i].count);
    }
    void* block = nullptr;
    if (posix_memalign(&block, kInputAlignment, total_bytes) != 0) throw std::bad_alloc();
    block_.reset(static_cast<std::uint8_t*>(block));
    std::uint8_t* next = block_.get();
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      inputs_[i].data = next;
      inputs_[i].bytes = sources[i].count;
      if (sources[i].count != 0) std::memcpy(next, sources[i].data, sources[i].count);
      next += rounded_up(sources[i].count);
    }
  }

  static Bytes checked_bytes(const Napi::Value& value, const ValueDescription& description,
                             const std::vector<std::int64_t>& shape) {
    const Napi::Env env = value.Env();
    const ElementTypeInfo& type = element_type_info(description.type);
    if (!description.is_tensor || type.bytes == 0) {
      throw Napi::TypeError::New(env, "the input " + description.name + " has elements of type " + type.name +
                                          ", which cannot be given");
    }
    napi_typedarray_type given{};
    std::size_t length = 0;
    void* data = nullptr;
    const bool is_array = value.IsTypedArray() && napi_get_typedarray_info(env, value, &given, &length, &data, nullptr, nullptr) == napi_ok;
    if (!is_array || given != array_type(description.type)) {
      throw Napi::TypeError::New(env, "the data of " + description.name + " is not a typed array for " + type.name);
    }
    const std::size_t count = element_count(env, description.name, shape);
    if (length != count) {
      throw Napi::RangeError::New(env, "the data of " + description.name + " must have " + std::to_string(count) +
                                           " elements, got " + std::to_string(length));
    }
    return {data, count * type.bytes};
  }

  static std::size_t element_count(Napi::Env env, const std::string& name, const std::vector<std::int64_t>& shape) {
    std::size_t count = 1;
    for (const std::int64_t size : shape) {
      if (__builtin_mul_overflow(count, static_cast<std::size_t>(size), &count)) {
        throw Napi::RangeError::New(env, "the shape of " + name + " is too large");
      }
    }
    return count;
  }

  static Napi::Value to_array(Napi::Env env, OutputTensor& output) {
    const std::size_t count = output.bytes / element_type_info(output.type).bytes;
    napi_value buffer = nullptr;
    if (output.bytes <= kCopiedBytes || !lend(env, output, &buffer)) {
      Napi::ArrayBuffer copy = Napi::ArrayBuffer::New(env, output.bytes);
      if (output.bytes != 0) std::memcpy(copy.Data(), output.data.get(), output.bytes);
      buffer = copy;
    }
    napi_value array = nullptr;
    if (napi_create_typedarray(env, array_type(output.type), count, buffer, 0, &array) != napi_ok) throw Napi::Error::New(env);
    return Napi::Value(env, array);
  }

  // Hands the memory over to JavaScript; false where the embedder does not allow that.
  static bool lend(Napi::Env env, OutputTensor& output, napi_value* buffer) {
    const auto finalize = [](napi_env, void* data, void*) { std::free(data); };
    if (napi_create_external_arraybuffer(env, output.data.get(), output.bytes, finalize, nullptr, buffer) != napi_ok) return false;
    output.data.release();
    return true;
  }

  std::shared_ptr<LoadedSession> session_;
  std::unique_ptr<std::uint8_t, FreeAligned> block_;
  std::vector<InputTensor> inputs_;
  std::vector<std::size_t> output_indexes_;
  std::vector<OutputTensor> outputs_;
};

class EndProfilingJob final : public Job {
 public:
  EndProfilingJob(Napi::Env env, std::shared_ptr<LoadedSession> session) : Job(env), session_(std::move(session)) {}

 protected:
  void compute() override { path_ = session_->end_profiling(); }
  napi_value result(Napi::Env env) override { return Napi::String::New(env, path_); }

 private:
  std::shared_ptr<LoadedSession> session_;
  std::string path_;
};

class ReleaseJob final : public Job {
 public:
  ReleaseJob(Napi::Env env, std::shared_ptr<LoadedSession> session) : Job(env), session_(std::move(session)) {}

 protected:
  void compute() override { session_.reset(); }
  napi_value result(Napi::Env env) override { return env.Undefined(); }

 private:
  std::shared_ptr<LoadedSession> session_;
};

// --- exports

JobChannel& channel_of(const Napi::CallbackInfo& info) { return **static_cast<ChannelHandle*>(info.Data()); }

template <typename Parse>
Napi::Value start(const Napi::CallbackInfo& info, std::size_t arguments, Parse&& parse) {
  expect_arguments(info, arguments);
  try {
    const std::int64_t id = id_argument(info[0]);
    std::shared_ptr<Job> job = parse();
    const Napi::Promise promise = job->promise();
    channel_of(info).start(info.Env(), std::move(job), id);
    return promise;
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception&) {
    throw Napi::RangeError::New(info.Env(), "not enough memory for this call");
  }
}

Napi::Value open(const Napi::CallbackInfo& info) {
  expect_arguments(info, 1);
  try {
    const Library& library = Library::open(text_argument(info[0], "path"));
    auto external = Napi::External<Library>::New(info.Env(), const_cast<Library*>(&library));
    external.TypeTag(&kLibraryTag);
    Napi::Array result = Napi::Array::New(info.Env(), 2);
    result.Set(0u, external);
    result.Set(1u, Napi::String::New(info.Env(), library.version()));
    return result;
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Napi::Error::New(info.Env(), error.what());
  }
}

Napi::Value load(const Napi::CallbackInfo& info) {
  return start(info, 11, [&] {
    const Library& library = external_argument<Library>(info[1], "library", kLibraryTag);
    return std::make_shared<LoadJob>(info.Env(), library, model_argument(info[2]), settings_arguments(info, 3));
  });
}

Napi::Value run(const Napi::CallbackInfo& info) {
  return start(info, 6, [&] {
    auto job = std::make_shared<RunJob>(info.Env(), session_argument(info[1]));
    job->take_inputs(info[2], info[3], info[4]);
    job->take_outputs(info[5]);
    return job;
  });
}

Napi::Value end_profiling(const Napi::CallbackInfo& info) {
  return start(info, 2, [&] { return std::make_shared<EndProfilingJob>(info.Env(), session_argument(info[1])); });
}

Napi::Value release(const Napi::CallbackInfo& info) {
  return start(info, 2, [&] {
    SessionHandle& handle = external_argument<SessionHandle>(info[1], "session", kSessionTag);
    return std::make_shared<ReleaseJob>(info.Env(), std::move(handle.session));
  });
}

void cancel(const Napi::CallbackInfo& info) {
  expect_arguments(info, 1);
  channel_of(info).cancel(id_argument(info[0]));
}

Napi::Value stop(const Napi::CallbackInfo& info) {
  expect_arguments(info, 1);
  const std::chrono::milliseconds limit(integer_argument(info[0], "limitMs", 0, kMaxWaitMs));
  return Napi::Boolean::New(info.Env(), channel_of(info).stop(limit));
}

}  // namespace

void export_sessions(Napi::Env env, Napi::Object exports) {
  keep_addon_loaded();
  auto* channel = new ChannelHandle(JobChannel::create(env));
  env.AddCleanupHook([](ChannelHandle* handle) { delete handle; }, channel);
  const auto add = [&](auto function, const char* name) {
    exports.Set(name, Napi::Function::New(env, function, name, channel));
  };
  add(open, "ortOpen");
  add(load, "ortLoad");
  add(run, "ortRun");
  add(end_profiling, "ortEndProfiling");
  add(release, "ortRelease");
  add(cancel, "ortCancel");
  add(stop, "ortStop");
}

}  // namespace tritforge::ort
