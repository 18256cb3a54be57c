#include "ort/session.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <utility>

#include "ort/element_types.h"
#include "ort/ops/register.h"
#include "ort/status.h"

namespace tritforge::ort {
namespace {

Owned<SessionOptions> make_options(const Library& library, const SessionSettings& settings) {
  const Api& api = library.api();
  auto owned = made<SessionOptions>(api, kReleaseSessionOptions, kCreateSessionOptions);
  SessionOptions* options = owned.get();
  check(api, api(kSetSessionLogSeverityLevel, options, LoggingLevel::fatal));
  check(api, api(kSetIntraOpNumThreads, options, settings.intra_op_threads));
  check(api, api(kSetInterOpNumThreads, options, 1));
  check(api, api(kSetSessionGraphOptimizationLevel, options, settings.optimization));
  if (!settings.memory_arena) check(api, api(kDisableCpuMemArena, options));
  if (!settings.profile_prefix.empty()) check(api, api(kEnableProfiling, options, settings.profile_prefix.c_str()));
  if (!settings.optimized_path.empty()) {
    check(api, api(kSetOptimizedModelFilePath, options, settings.optimized_path.c_str()));
  }
  check(api, api(kAddSessionConfigEntry, options, kThreadsKey, std::to_string(settings.intra_op_threads).c_str()));
  for (const auto& [key, value] : settings.config) {
    check(api, api(kAddSessionConfigEntry, options, key.c_str(), value.c_str()));
  }
  if (settings.custom_operators) check(api, register_operators(api, options));
  return owned;
}

void cancel_load(const Api& api, void* options) {
  if (!api.has(kSessionOptionsSetLoadCancellationFlag)) return;
  Status* status = api(kSessionOptionsSetLoadCancellationFlag, static_cast<SessionOptions*>(options), true);
  if (status != nullptr) api(kReleaseStatus, status);
}

void terminate_run(const Api& api, void* options) {
  Status* status = api(kRunOptionsSetTerminate, static_cast<RunOptions*>(options));
  if (status != nullptr) api(kReleaseStatus, status);
}

// While it lives, a request to cancel reaches `target`.
class CancellationScope {
 public:
  CancellationScope(Cancellation& cancellation, void (*stop)(const Api&, void*), const Api& api, void* target)
      : cancellation_(cancellation) {
    cancellation_.begin(stop, api, target);
  }
  ~CancellationScope() { cancellation_.end(); }
  CancellationScope(const CancellationScope&) = delete;
  CancellationScope& operator=(const CancellationScope&) = delete;

 private:
  Cancellation& cancellation_;
};

void describe_tensor(const Api& api, const TensorInfo* tensor, ValueDescription& description) {
  check(api, api(kGetTensorElementType, tensor, &description.type));
  std::size_t rank = 0;
  check(api, api(kGetDimensionsCount, tensor, &rank));
  description.shape.resize(rank);
  check(api, api(kGetDimensions, tensor, description.shape.data(), rank));
  std::vector<const char*> symbols(rank, nullptr);
  check(api, api(kGetSymbolicDimensions, tensor, symbols.data(), rank));
  for (const char* symbol : symbols) description.symbols.emplace_back(symbol == nullptr ? "" : symbol);
}

using GetCount = Function<Status*(const Session*, std::size_t*)>;
using GetName = Function<Status*(const Session*, std::size_t, Allocator*, char**)>;
using GetType = Function<Status*(const Session*, std::size_t, TypeInfo**)>;

std::vector<ValueDescription> describe_values(const Api& api, const Session* session, GetCount get_count,
                                              GetName get_name, GetType get_type) {
  Allocator* allocator = nullptr;
  check(api, api(kGetAllocatorWithDefaultOptions, &allocator));
  std::size_t count = 0;
  check(api, api(get_count, session, &count));
  std::vector<ValueDescription> descriptions(count);
  for (std::size_t i = 0; i < count; ++i) {
    char* name = nullptr;
    check(api, api(get_name, session, i, allocator, &name));
    descriptions[i].name = name;
    check(api, api(kAllocatorFree, allocator, name));
    const auto type = made<TypeInfo>(api, kReleaseTypeInfo, get_type, session, i);
    ValueKind kind{};
    check(api, api(kGetOnnxTypeFromTypeInfo, type.get(), &kind));
    descriptions[i].is_tensor = kind == ValueKind::tensor;
    const TensorInfo* tensor = nullptr;
    check(api, api(kCastTypeInfoToTensorInfo, type.get(), &tensor));
    if (descriptions[i].is_tensor && tensor != nullptr) describe_tensor(api, tensor, descriptions[i]);
  }
  return descriptions;
}

}  // namespace

bool Cancellation::requested() const {
  const std::lock_guard lock(mutex_);
  return requested_;
}

void Cancellation::request() {
  const std::lock_guard lock(mutex_);
  requested_ = true;
  if (target_ != nullptr) stop_(api_, target_);
}

void Cancellation::begin(void (*stop)(const Api&, void*), const Api& api, void* target) {
  const std::lock_guard lock(mutex_);
  stop_ = stop;
  api_ = api;
  target_ = target;
  if (requested_) stop_(api_, target_);
}

void Cancellation::end() {
  const std::lock_guard lock(mutex_);
  target_ = nullptr;
}

void FreeMemory::operator()(void* memory) const { std::free(memory); }

InputBlock::InputBlock(std::size_t bytes) : bytes_(bytes) {
  void* memory = nullptr;
  if (posix_memalign(&memory, kInputAlignment, bytes) != 0) throw std::bad_alloc();
  data_.reset(memory);
}

InputBlock LoadedSession::take_block(std::size_t bytes) {
  const std::lock_guard lock(block_mutex_);
  return spare_block_.bytes() >= bytes ? std::exchange(spare_block_, InputBlock()) : InputBlock(bytes);
}

void LoadedSession::give_block(InputBlock block) {
  const std::lock_guard lock(block_mutex_);
  spare_block_ = std::move(block);
}

LoadedSession::LoadedSession(const Library& library, Session* session) : library_(library), session_(session) {}

LoadedSession::~LoadedSession() { library_.api()(kReleaseSession, session_); }

std::shared_ptr<LoadedSession> LoadedSession::from_file(const Library& library, const std::string& path,
                                                        const SessionSettings& settings, Cancellation& cancellation) {
  return load(library, settings, cancellation, [&](const SessionOptions* options, Session** session) {
    return library.api()(kCreateSession, library.env(), path.c_str(), options, session);
  });
}

std::shared_ptr<LoadedSession> LoadedSession::from_bytes(const Library& library, const std::vector<std::uint8_t>& bytes,
                                                         const SessionSettings& settings, Cancellation& cancellation) {
  return load(library, settings, cancellation, [&](const SessionOptions* options, Session** session) {
    return library.api()(kCreateSessionFromArray, library.env(), bytes.data(), bytes.size(), options, session);
  });
}

namespace {

/// Until a session has been made, one is made at a time: the first one adds the domain of our operators to a map of the process,
/// which ONNX Runtime neither locks nor lets another thread add the same to.
class FirstLoad {
 public:
  FirstLoad() : alone_(mutex(), std::defer_lock) {
    if (!is_over().load()) alone_.lock();
  }
  static void succeeded() { is_over().store(true); }

 private:
  static std::mutex& mutex() {
    static auto& shared = *new std::mutex;
    return shared;
  }
  static std::atomic<bool>& is_over() {
    static auto& shared = *new std::atomic<bool>(false);
    return shared;
  }

  std::unique_lock<std::mutex> alone_;
};

}  // namespace

template <typename Create>
std::shared_ptr<LoadedSession> LoadedSession::load(const Library& library, const SessionSettings& settings,
                                                   Cancellation& cancellation, Create&& create) {
  const Api& api = library.api();
  const auto options = make_options(library, settings);
  Session* session = nullptr;
  {
    const FirstLoad first;
    const CancellationScope scope(cancellation, cancel_load, api, options.get());
    check(api, create(options.get(), &session));
    FirstLoad::succeeded();
  }
  std::shared_ptr<LoadedSession> loaded(new LoadedSession(library, session));
  loaded->inputs_ =
      describe_values(api, session, kSessionGetInputCount, kSessionGetInputName, kSessionGetInputTypeInfo);
  loaded->outputs_ =
      describe_values(api, session, kSessionGetOutputCount, kSessionGetOutputName, kSessionGetOutputTypeInfo);
  return loaded;
}

std::vector<OutputTensor> LoadedSession::run(const std::vector<InputTensor>& inputs,
                                             const std::vector<OutputRequest>& outputs,
                                             Cancellation& cancellation) const {
  const Api& api = library_.api();
  std::vector<Owned<Value>> input_owners, output_owners;
  std::vector<const char*> input_names, output_names;
  std::vector<const Value*> input_values;
  std::vector<Value*> output_values;
  const auto tensor_over = [&](ElementType type, const std::vector<std::int64_t>& shape, void* data, std::size_t bytes) {
    return made<Value>(api, kReleaseValue, kCreateTensorWithDataAsOrtValue, library_.memory(), data, bytes, shape.data(),
                       shape.size(), type);
  };
  for (const InputTensor& input : inputs) {
    const ValueDescription& description = inputs_[input.index];
    input_owners.push_back(tensor_over(description.type, input.shape, input.data, input.bytes));
    input_names.push_back(description.name.c_str());
    input_values.push_back(input_owners.back().get());
  }
  for (const OutputRequest& output : outputs) {
    output_owners.push_back(output.data == nullptr ? Owned<Value>(nullptr, {api, kReleaseValue})
                                                   : tensor_over(output.type, output.shape, output.data, output.bytes));
    output_names.push_back(outputs_[output.index].name.c_str());
    output_values.push_back(output_owners.back().get());
  }
  const auto options = made<RunOptions>(api, kReleaseRunOptions, kCreateRunOptions);
  {
    const CancellationScope scope(cancellation, terminate_run, api, options.get());
    check(api, api(kRun, session_, options.get(), input_names.data(), input_values.data(), input_values.size(),
                   output_names.data(), output_names.size(), output_values.data()));
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].data == nullptr) output_owners[i].reset(output_values[i]);
  }
  std::vector<OutputTensor> results;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const OutputRequest& asked = outputs[i];
    results.push_back(asked.data == nullptr ? copy_output(output_owners[i].get(), outputs_[asked.index].name)
                                            : OutputTensor{asked.type, asked.shape, nullptr, asked.bytes});
    output_owners[i].reset();
  }
  return results;
}

OutputTensor LoadedSession::copy_output(Value* value, const std::string& name) const {
  const Api& api = library_.api();
  int is_tensor = 0;
  if (value != nullptr) check(api, api(kIsTensor, value, &is_tensor));
  if (is_tensor == 0) throw Failure("the output " + name + " is not a tensor");
  const auto info = made<TensorInfo>(api, kReleaseTensorTypeAndShapeInfo, kGetTensorTypeAndShape, value);
  OutputTensor output;
  check(api, api(kGetTensorElementType, info.get(), &output.type));
  const ElementTypeInfo& type = element_type_info(output.type);
  if (type.bytes == 0)
    throw Failure("the output " + name + " has elements of type " + type.name + ", which cannot be returned");
  std::size_t rank = 0;
  check(api, api(kGetDimensionsCount, info.get(), &rank));
  output.shape.resize(rank);
  check(api, api(kGetDimensions, info.get(), output.shape.data(), rank));
  output.bytes = type.bytes;
  for (const std::int64_t size : output.shape) output.bytes *= static_cast<std::size_t>(size);
  void* data = nullptr;
  check(api, api(kGetTensorMutableData, value, &data));
  output.data.reset(std::malloc(output.bytes == 0 ? 1 : output.bytes));
  if (!output.data) throw std::bad_alloc();
  if (output.bytes != 0) std::memcpy(output.data.get(), data, output.bytes);
  return output;
}

std::string LoadedSession::end_profiling() const {
  const Api& api = library_.api();
  Allocator* allocator = nullptr;
  check(api, api(kGetAllocatorWithDefaultOptions, &allocator));
  char* path = nullptr;
  check(api, api(kSessionEndProfiling, session_, allocator, &path));
  const std::string result = path;
  check(api, api(kAllocatorFree, allocator, path));
  return result;
}

}  // namespace tritforge::ort
