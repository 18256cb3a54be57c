// The binary interface of ONNX Runtime, as far as we use it. `OrtGetApiBase()`, the one exported symbol, leads to a table of
// functions that only ever grows at its end, so a function is known by its position, its signature and the API version that
// first had it. Nothing of ONNX Runtime is needed to compile this.
//
// Functions that return a Status* return null on success; see status.h for how we read the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace tritforge::ort {

// --- what the table's functions work on; never looked into
struct Allocator;
struct CustomOpDomain;
struct Env;
struct KernelContext;
struct KernelInfo;
struct MemoryInfo;
struct OpAttribute;
struct RunOptions;
struct Session;
struct SessionOptions;
struct ShapeInferContext;
struct Status;
struct TensorInfo;  // element type and shape
struct TypeInfo;
struct Value;

enum class ErrorCode : int { fail = 1, invalid_argument = 2 };
enum class LoggingLevel : int { fatal = 4 };
enum class OptimizationLevel : int { none = 0, all = 99 };
enum class AllocatorType : int { device = 0 };
enum class MemoryType : int { normal = 0 };
enum class ValueKind : int { tensor = 1 };
enum class AttributeType : int { integer = 1, integers = 2 };

enum class ElementType : int {
  undefined = 0,
  float32 = 1,
  uint8 = 2,
  int8 = 3,
  uint16 = 4,
  int16 = 5,
  int32 = 6,
  int64 = 7,
  string = 8,
  boolean = 9,
  float16 = 10,
  float64 = 11,
  uint32 = 12,
  uint64 = 13,
  bfloat16 = 16,
};

// --- the table
template <typename Signature>
struct Function {
  std::size_t position;
  std::uint32_t
      since;  // API version, which is the minor version of the release; 1 where it is older than all we support
};

// A table of a library, and the version it was asked for.
class Api {
 public:
  Api() = default;
  Api(const void* table, std::uint32_t version) : table_(static_cast<const void* const*>(table)), version_(version) {}

  explicit operator bool() const { return table_ != nullptr; }
  const void* table() const { return table_; }
  std::uint32_t version() const { return version_; }

  template <typename Signature>
  bool has(Function<Signature> function) const {
    return version_ >= function.since;
  }

  // Calls a function that the table has.
  template <typename Result, typename... Parameters, typename... Arguments>
  Result operator()(Function<Result(Parameters...)> function, Arguments... arguments) const {
    using Pointer = Result (*)(Parameters...);
    return reinterpret_cast<Pointer>(const_cast<void*>(table_[function.position]))(arguments...);
  }

 private:
  const void* const* table_ = nullptr;
  std::uint32_t version_ = 0;
};

// What OrtGetApiBase returns. `get_api` returns the table, or null where the library is older than the version.
struct ApiBase {
  const void* (*get_api)(std::uint32_t version);
  const char* (*get_version_string)();
};

// The oldest version that operators and sessions work with (onnxruntime 1.16), and the newest whose additions we use: shape
// inference and threads of the session for operators came with 17, cancelling a load with 22.
inline constexpr std::uint32_t kOldestApi = 16;
inline constexpr std::uint32_t kNewestApi = 22;

// The table of the newest version up to kNewestApi that the library has; false when it is older than kOldestApi. The release
// 1.<n> has the API version n, and asking for one that is not there would make the library print a warning.
inline Api find_api(const ApiBase* base) {
  const char* release = base->get_version_string();
  const long minor = std::strncmp(release, "1.", 2) == 0 ? std::strtol(release + 2, nullptr, 10) : kNewestApi;
  if (minor < static_cast<long>(kOldestApi)) return Api();
  const std::uint32_t version = minor < static_cast<long>(kNewestApi) ? static_cast<std::uint32_t>(minor) : kNewestApi;
  const void* table = base->get_api(version);
  return table == nullptr ? Api() : Api(table, version);
}

// --- positions: statuses and the environment
inline constexpr Function<Status*(ErrorCode, const char* message)> kCreateStatus{0, 1};
inline constexpr Function<ErrorCode(const Status*)> kGetErrorCode{1, 1};
inline constexpr Function<const char*(const Status*)> kGetErrorMessage{2, 1};
inline constexpr Function<Status*(LoggingLevel, const char* log_id, Env**)> kCreateEnv{3, 1};
inline constexpr Function<Status*(const Env*)> kDisableTelemetryEvents{6, 1};
inline constexpr Function<void(Status*)> kReleaseStatus{93, 1};

// --- sessions
inline constexpr Function<Status*(const Env*, const char* path, const SessionOptions*, Session**)> kCreateSession{7, 1};
inline constexpr Function<Status*(const Env*, const void* data, std::size_t bytes, const SessionOptions*, Session**)>
    kCreateSessionFromArray{8, 1};
inline constexpr Function<Status*(Session*, const RunOptions*, const char* const* input_names,
                                  const Value* const* inputs, std::size_t input_count, const char* const* output_names,
                                  std::size_t output_count, Value** outputs)>
    kRun{9, 1};
inline constexpr Function<Status*(const Session*, std::size_t* count)> kSessionGetInputCount{30, 1};
inline constexpr Function<Status*(const Session*, std::size_t* count)> kSessionGetOutputCount{31, 1};
inline constexpr Function<Status*(const Session*, std::size_t index, TypeInfo**)> kSessionGetInputTypeInfo{33, 1};
inline constexpr Function<Status*(const Session*, std::size_t index, TypeInfo**)> kSessionGetOutputTypeInfo{34, 1};
inline constexpr Function<Status*(const Session*, std::size_t index, Allocator*, char** name)> kSessionGetInputName{36,
                                                                                                                    1};
inline constexpr Function<Status*(const Session*, std::size_t index, Allocator*, char** name)> kSessionGetOutputName{37,
                                                                                                                     1};
inline constexpr Function<Status*(Session*, Allocator*, char** path)> kSessionEndProfiling{110, 1};
inline constexpr Function<void(Session*)> kReleaseSession{95, 1};

// --- options of a session
inline constexpr Function<Status*(SessionOptions**)> kCreateSessionOptions{10, 1};
inline constexpr Function<Status*(SessionOptions*, const char* path)> kSetOptimizedModelFilePath{11, 1};
inline constexpr Function<Status*(SessionOptions*, const char* prefix)> kEnableProfiling{14, 1};
inline constexpr Function<Status*(SessionOptions*)> kDisableCpuMemArena{19, 1};
inline constexpr Function<Status*(SessionOptions*, LoggingLevel)> kSetSessionLogSeverityLevel{22, 1};
inline constexpr Function<Status*(SessionOptions*, OptimizationLevel)> kSetSessionGraphOptimizationLevel{23, 1};
inline constexpr Function<Status*(SessionOptions*, int threads)> kSetIntraOpNumThreads{24, 1};
inline constexpr Function<Status*(SessionOptions*, int threads)> kSetInterOpNumThreads{25, 1};
inline constexpr Function<Status*(SessionOptions*, const char* key, const char* value)> kAddSessionConfigEntry{130, 1};
inline constexpr Function<Status*(const SessionOptions*, const char* key, int* has)> kHasSessionConfigEntry{237, 14};
inline constexpr Function<Status*(const SessionOptions*, const char* key, char* value, std::size_t* bytes)>
    kGetSessionConfigEntry{238, 14};
inline constexpr Function<Status*(SessionOptions*, bool cancel)> kSessionOptionsSetLoadCancellationFlag{293, 22};
inline constexpr Function<void(SessionOptions*)> kReleaseSessionOptions{100, 1};

// --- options of a run
inline constexpr Function<Status*(RunOptions**)> kCreateRunOptions{39, 1};
inline constexpr Function<Status*(RunOptions*)> kRunOptionsSetTerminate{46, 1};
inline constexpr Function<void(RunOptions*)> kReleaseRunOptions{97, 1};

// --- values and types
inline constexpr Function<Status*(const MemoryInfo*, void* data, std::size_t bytes, const std::int64_t* shape,
                                  std::size_t rank, ElementType, Value**)>
    kCreateTensorWithDataAsOrtValue{49, 1};
inline constexpr Function<Status*(const Value*, int* is_tensor)> kIsTensor{50, 1};
inline constexpr Function<Status*(Value*, void** data)> kGetTensorMutableData{51, 1};
inline constexpr Function<Status*(const TypeInfo*, const TensorInfo**)> kCastTypeInfoToTensorInfo{55, 1};
inline constexpr Function<Status*(const TypeInfo*, ValueKind*)> kGetOnnxTypeFromTypeInfo{56, 1};
inline constexpr Function<Status*(TensorInfo**)> kCreateTensorTypeAndShapeInfo{57, 1};
inline constexpr Function<Status*(TensorInfo*, ElementType)> kSetTensorElementType{58, 1};
inline constexpr Function<Status*(TensorInfo*, const std::int64_t* shape, std::size_t rank)> kSetDimensions{59, 1};
inline constexpr Function<Status*(const TensorInfo*, ElementType*)> kGetTensorElementType{60, 1};
inline constexpr Function<Status*(const TensorInfo*, std::size_t* rank)> kGetDimensionsCount{61, 1};
inline constexpr Function<Status*(const TensorInfo*, std::int64_t* shape, std::size_t rank)> kGetDimensions{62, 1};
inline constexpr Function<Status*(const TensorInfo*, const char** names, std::size_t rank)> kGetSymbolicDimensions{63,
                                                                                                                   1};
inline constexpr Function<Status*(TensorInfo*, const char** names, std::size_t rank)> kSetSymbolicDimensions{271, 17};
inline constexpr Function<Status*(const Value*, TensorInfo**)> kGetTensorTypeAndShape{65, 1};
// Into memory of the value, in one call instead of five.
inline constexpr Function<Status*(const Value*, ElementType*, const std::int64_t** shape, std::size_t* rank)>
    kGetTensorElementTypeAndShapeDataReference{414, 24};
inline constexpr Function<Status*(AllocatorType, MemoryType, MemoryInfo**)> kCreateCpuMemoryInfo{69, 1};
inline constexpr Function<Status*(Allocator*, void*)> kAllocatorFree{76, 1};
inline constexpr Function<Status*(Allocator**)> kGetAllocatorWithDefaultOptions{78, 1};
inline constexpr Function<void(MemoryInfo*)> kReleaseMemoryInfo{94, 1};
inline constexpr Function<void(Value*)> kReleaseValue{96, 1};
inline constexpr Function<void(TypeInfo*)> kReleaseTypeInfo{98, 1};
inline constexpr Function<void(TensorInfo*)> kReleaseTensorTypeAndShapeInfo{99, 1};

// --- custom operators
struct CustomOp;
inline constexpr Function<Status*(const char* domain, CustomOpDomain**)> kCreateCustomOpDomain{26, 1};
inline constexpr Function<Status*(CustomOpDomain*, const CustomOp*)> kCustomOpDomain_Add{27, 1};
inline constexpr Function<Status*(SessionOptions*, CustomOpDomain*)> kAddCustomOpDomain{28, 1};
inline constexpr Function<void(CustomOpDomain*)> kReleaseCustomOpDomain{101, 1};
inline constexpr Function<Status*(const KernelInfo*, const char* name, float*)> kKernelInfoGetAttribute_float{85, 1};
inline constexpr Function<Status*(const KernelInfo*, const char* name, std::int64_t*)> kKernelInfoGetAttribute_int64{86,
                                                                                                                     1};
inline constexpr Function<Status*(const KernelInfo*, const char* name, std::int64_t*, std::size_t* count)>
    kKernelInfoGetAttributeArray_int64{163, 1};
inline constexpr Function<Status*(const KernelInfo*, std::size_t* count)> kKernelInfo_GetInputCount{230, 14};
inline constexpr Function<Status*(const KernelInfo*, std::size_t* count)> kKernelInfo_GetOutputCount{231, 14};
inline constexpr Function<Status*(const KernelInfo*, std::size_t index, TypeInfo**)> kKernelInfo_GetInputTypeInfo{234,
                                                                                                                  14};
inline constexpr Function<Status*(const KernelInfo*, char* name, std::size_t* bytes)> kKernelInfo_GetNodeName{244, 15};
inline constexpr Function<Status*(const KernelInfo*, std::size_t index, int* is_constant, const Value**)>
    kKernelInfoGetConstantInput_tensor{249, 15};
inline constexpr Function<Status*(const KernelContext*, std::size_t index, const Value**)> kKernelContext_GetInput{90,
                                                                                                                   1};
inline constexpr Function<Status*(KernelContext*, std::size_t index, const std::int64_t* shape, std::size_t rank,
                                  Value**)>
    kKernelContext_GetOutput{91, 1};
inline constexpr Function<Status*(const KernelContext*, void (*task)(void* data, std::size_t index), std::size_t count,
                                  std::size_t batches, void* data)>
    kKernelContext_ParallelFor{274, 17};
inline constexpr Function<Status*(const ShapeInferContext*, std::size_t* count)> kShapeInferContext_GetInputCount{267,
                                                                                                                  17};
inline constexpr Function<Status*(const ShapeInferContext*, std::size_t index, TensorInfo**)>
    kShapeInferContext_GetInputTypeShape{268, 17};
inline constexpr Function<Status*(const ShapeInferContext*, const char* name, const OpAttribute**)>
    kShapeInferContext_GetAttribute{269, 17};
inline constexpr Function<Status*(const ShapeInferContext*, std::size_t index, const TensorInfo*)>
    kShapeInferContext_SetOutputTypeShape{270, 17};
inline constexpr Function<Status*(const OpAttribute*, AttributeType, void* data, std::size_t bytes,
                                  std::size_t* written)>
    kReadOpAttr{272, 17};

// How an operator presents itself. ONNX Runtime reads as many members as `version` implies: up to kernel_compute_v2 at 16,
// up to get_end_version at 17, all at 18.
struct CustomOp {
  std::uint32_t version;
  void* (*create_kernel)(const CustomOp*, const void* api, const KernelInfo*);
  const char* (*get_name)(const CustomOp*);
  const char* (*get_execution_provider_type)(const CustomOp*);
  ElementType (*get_input_type)(const CustomOp*, std::size_t index);
  std::size_t (*get_input_type_count)(const CustomOp*);
  ElementType (*get_output_type)(const CustomOp*, std::size_t index);
  std::size_t (*get_output_type_count)(const CustomOp*);
  void (*kernel_compute)(void* kernel, KernelContext*);
  void (*kernel_destroy)(void* kernel);
  int (*get_input_characteristic)(const CustomOp*, std::size_t index);  // 0 required, 1 optional, 2 variadic
  int (*get_output_characteristic)(const CustomOp*, std::size_t index);
  int (*get_input_memory_type)(const CustomOp*, std::size_t index);
  int (*get_variadic_input_min_arity)(const CustomOp*);
  int (*get_variadic_input_homogeneity)(const CustomOp*);
  int (*get_variadic_output_min_arity)(const CustomOp*);
  int (*get_variadic_output_homogeneity)(const CustomOp*);
  Status* (*create_kernel_v2)(const CustomOp*, const void* api, const KernelInfo*, void** kernel);
  Status* (*kernel_compute_v2)(void* kernel, KernelContext*);
  Status* (*infer_output_shape)(const CustomOp*, ShapeInferContext*);
  int (*get_start_version)(const CustomOp*);
  int (*get_end_version)(const CustomOp*);
  std::size_t (*get_may_inplace)(int** inputs, int** outputs);
  void (*release_may_inplace)(int* inputs, int* outputs);
  std::size_t (*get_alias_map)(int** inputs, int** outputs);
  void (*release_alias_map)(int* inputs, int* outputs);
};
static_assert(sizeof(CustomOp) == 26 * sizeof(void*));

}  // namespace tritforge::ort
