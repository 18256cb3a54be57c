// Functions are called by their position in the OrtApi table, which only grows: positions are part of the ABI.
#include "ort_peers.h"

#include <dlfcn.h>

#include <cstdint>
#include <map>
#include <stdexcept>
#include <vector>

#include "buffer.h"

namespace bench {
namespace {

enum Position : std::size_t {
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kCreateSession = 7,
  kRun = 9,
  kCreateSessionOptions = 10,
  kSetSessionGraphOptimizationLevel = 23,
  kSetIntraOpNumThreads = 24,
  kSetInterOpNumThreads = 25,
  kCreateTensorWithDataAsOrtValue = 49,
  kCreateCpuMemoryInfo = 69,
  kReleaseEnv = 92,
  kReleaseStatus = 93,
  kReleaseMemoryInfo = 94,
  kReleaseSession = 95,
  kReleaseValue = 96,
  kReleaseSessionOptions = 100,
};

constexpr std::uint32_t kApiVersion = 17;
constexpr int kSilent = 4, kEnableAll = 99, kArenaAllocator = 1, kDefaultMemory = 0;

struct OrtApiBase {
  void* const* (*get_api)(std::uint32_t version);
  const char* (*get_version_string)();
};

using Api = void* const*;

template <typename Result, typename... Arguments>
Result call(Api api, Position position, Arguments... arguments) {
  return reinterpret_cast<Result (*)(Arguments...)>(api[position])(arguments...);
}

template <typename... Arguments>
void checked(Api api, Position position, Arguments... arguments) {
  void* status = call<void*>(api, position, arguments...);
  if (status == nullptr) return;
  const std::string message = call<const char*>(api, kGetErrorMessage, static_cast<const void*>(status));
  call<void>(api, kReleaseStatus, status);
  throw std::runtime_error("onnxruntime: " + message);
}

std::size_t element_bytes(ElementType type) { return type == ElementType::u8 ? 1 : 4; }

std::shared_ptr<char[]> random_values(std::size_t count, ElementType type) {
  if (type == ElementType::f32) return std::reinterpret_pointer_cast<char[]>(random_floats(count, 1));
  return std::reinterpret_pointer_cast<char[]>(random_codes(count * element_bytes(type), 255, 1));
}

std::vector<std::int64_t> image(std::size_t channels, std::size_t height, std::size_t width, bool channels_last) {
  const auto c = static_cast<std::int64_t>(channels), h = static_cast<std::int64_t>(height),
             w = static_cast<std::int64_t>(width);
  return channels_last ? std::vector<std::int64_t>{1, h, w, c} : std::vector<std::int64_t>{1, c, h, w};
}

std::vector<std::int64_t> matrix(std::size_t rows, std::size_t columns) {
  return {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)};
}

}  // namespace

struct OnnxRuntime::Implementation : std::enable_shared_from_this<Implementation> {
  const OrtApiBase* base = nullptr;
  Api api = nullptr;
  void* environment = nullptr;
  void* memory = nullptr;
  std::map<std::string, std::shared_ptr<void>> sessions;

  ~Implementation() {
    sessions.clear();
    if (memory != nullptr) call<void>(api, kReleaseMemoryInfo, memory);
    if (environment != nullptr) call<void>(api, kReleaseEnv, environment);
  }

  std::shared_ptr<void> load(const std::string& path) {
    if (const auto found = sessions.find(path); found != sessions.end()) return found->second;
    void *options = nullptr, *session = nullptr;
    checked(api, kCreateSessionOptions, &options);
    const std::shared_ptr<void> owner(options, [api = api](void* o) { call<void>(api, kReleaseSessionOptions, o); });
    checked(api, kSetIntraOpNumThreads, options, 1);
    checked(api, kSetInterOpNumThreads, options, 1);
    checked(api, kSetSessionGraphOptimizationLevel, options, kEnableAll);
    checked(api, kCreateSession, environment, path.c_str(), static_cast<const void*>(options), &session);
    return sessions[path] =
               std::shared_ptr<void>(session, [api = api](void* s) { call<void>(api, kReleaseSession, s); });
  }

  struct Tensor {
    std::shared_ptr<char[]> bytes;
    std::shared_ptr<void> value;
  };

  Tensor tensor(const std::vector<std::int64_t>& dimensions, ElementType type) {
    std::size_t count = 1;
    for (const std::int64_t dimension : dimensions) count *= static_cast<std::size_t>(dimension);
    std::shared_ptr<char[]> bytes = random_values(count, type);
    void* value = nullptr;
    checked(api, kCreateTensorWithDataAsOrtValue, static_cast<const void*>(memory), static_cast<void*>(bytes.get()),
            count * element_bytes(type), dimensions.data(), dimensions.size(), static_cast<int>(type), &value);
    return {bytes, std::shared_ptr<void>(value, [api = api](void* v) { call<void>(api, kReleaseValue, v); })};
  }

  Candidate candidate(const Shape& shape, const OrtPeer& peer) {
    const Convolution& c = shape.convolution;
    const bool gemm = shape.kind == Kind::gemm;
    const Tensor input = tensor(gemm ? matrix(shape.gemm.m, shape.gemm.k)
                                     : image(c.input_channels, c.height, c.width, peer.channels_last),
                                peer.input);
    const Tensor output =
        tensor(gemm ? matrix(shape.gemm.m, shape.gemm.n)
                    : image(c.output_channels, c.output_height(), c.output_width(), peer.channels_last),
               peer.output);
    auto run = [self = shared_from_this(), session = load(peer.path), input, output] {
      const char *input_name = "A", *output_name = "C";
      const void* input_value = input.value.get();
      void* output_value = output.value.get();
      checked(self->api, kRun, session.get(), static_cast<const void*>(nullptr), &input_name, &input_value,
              std::size_t{1}, &output_name, std::size_t{1}, &output_value);
    };
    return {peer.name, "", run};
  }
};

OnnxRuntime::OnnxRuntime(const std::string& library) : implementation_(std::make_shared<Implementation>()) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw std::runtime_error(dlerror());
  const auto get_base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(handle, "OrtGetApiBase"));
  if (get_base == nullptr) throw std::runtime_error(library + " has no OrtGetApiBase");
  Implementation& ort = *implementation_;
  ort.base = get_base();
  ort.api = ort.base->get_api(kApiVersion);
  if (ort.api == nullptr) throw std::runtime_error(library + " is too old");
  checked(ort.api, kCreateEnv, kSilent, "bench", &ort.environment);
  checked(ort.api, kCreateCpuMemoryInfo, kArenaAllocator, kDefaultMemory, &ort.memory);
}

OnnxRuntime::~OnnxRuntime() = default;

std::string OnnxRuntime::version() const { return implementation_->base->get_version_string(); }

void OnnxRuntime::add_candidates(const Shape& shape, Lineup& lineup) {
  std::map<std::string, std::shared_ptr<void>> kept;
  for (const OrtPeer& peer : shape.peers) {
    if (const auto found = implementation_->sessions.find(peer.path); found != implementation_->sessions.end()) {
      kept.insert(*found);
    }
  }
  implementation_->sessions = std::move(kept);
  for (const OrtPeer& peer : shape.peers) {
    try {
      Candidate candidate = implementation_->candidate(shape, peer);
      candidate.run();
      lineup.candidates.push_back(std::move(candidate));
    } catch (const std::runtime_error& error) {
      lineup.absences.push_back({peer.name, error.what()});
    }
  }
}

}  // namespace bench
