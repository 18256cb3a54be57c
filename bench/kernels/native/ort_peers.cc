#include "ort_peers.h"

#include <dlfcn.h>

#include <cstdint>
#include <map>
#include <stdexcept>
#include <vector>

#include "buffer.h"
#include "ort/ort_api.h"

namespace bench {
namespace {

namespace ort = tritforge::ort;

template <typename... Parameters, typename... Arguments>
void checked(const ort::Api& api, ort::Function<ort::Status*(Parameters...)> function, Arguments... arguments) {
  ort::Status* status = api(function, arguments...);
  if (status == nullptr) return;
  const std::string message = api(ort::kGetErrorMessage, status);
  api(ort::kReleaseStatus, status);
  throw std::runtime_error("onnxruntime: " + message);
}

// What releases itself.
template <typename Object>
std::shared_ptr<Object> owned(const ort::Api& api, Object* object, ort::Function<void(Object*)> release) {
  return std::shared_ptr<Object>(object, [api, release](Object* released) { api(release, released); });
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
  ort::Api api;
  std::string version;
  ort::Env* environment = nullptr;  // as long as the process
  std::shared_ptr<ort::MemoryInfo> memory;
  std::map<std::string, std::shared_ptr<ort::Session>> sessions;

  std::shared_ptr<ort::Session> load(const std::string& path) {
    if (const auto found = sessions.find(path); found != sessions.end()) return found->second;
    ort::SessionOptions* options = nullptr;
    ort::Session* session = nullptr;
    checked(api, ort::kCreateSessionOptions, &options);
    const auto owner = owned(api, options, ort::kReleaseSessionOptions);
    checked(api, ort::kSetIntraOpNumThreads, options, 1);
    checked(api, ort::kSetInterOpNumThreads, options, 1);
    checked(api, ort::kSetSessionGraphOptimizationLevel, options, ort::OptimizationLevel::all);
    checked(api, ort::kCreateSession, environment, path.c_str(), options, &session);
    return sessions[path] = owned(api, session, ort::kReleaseSession);
  }

  struct Tensor {
    std::shared_ptr<char[]> bytes;
    std::shared_ptr<ort::Value> value;
  };

  Tensor tensor(const std::vector<std::int64_t>& dimensions, ElementType type) {
    std::size_t count = 1;
    for (const std::int64_t dimension : dimensions) count *= static_cast<std::size_t>(dimension);
    std::shared_ptr<char[]> bytes = random_values(count, type);
    ort::Value* value = nullptr;
    checked(api, ort::kCreateTensorWithDataAsOrtValue, memory.get(), bytes.get(), count * element_bytes(type),
            dimensions.data(), dimensions.size(), static_cast<ort::ElementType>(type), &value);
    return {bytes, owned(api, value, ort::kReleaseValue)};
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
      const ort::Value* input_value = input.value.get();
      ort::Value* output_value = output.value.get();
      checked(self->api, ort::kRun, session.get(), nullptr, &input_name, &input_value, std::size_t{1}, &output_name,
              std::size_t{1}, &output_value);
    };
    return {peer.name, "", run};
  }
};

OnnxRuntime::OnnxRuntime(const std::string& library) : implementation_(std::make_shared<Implementation>()) {
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw std::runtime_error(dlerror());
  const auto get_base = reinterpret_cast<const ort::ApiBase* (*)()>(dlsym(handle, "OrtGetApiBase"));
  if (get_base == nullptr) throw std::runtime_error(library + " has no OrtGetApiBase");
  Implementation& self = *implementation_;
  self.version = get_base()->get_version_string();
  self.api = ort::find_api(get_base());
  if (!self.api) throw std::runtime_error(library + " is too old");
  checked(self.api, ort::kCreateEnv, ort::LoggingLevel::fatal, "bench", &self.environment);
  ort::MemoryInfo* memory = nullptr;
  checked(self.api, ort::kCreateCpuMemoryInfo, ort::AllocatorType::device, ort::MemoryType::normal, &memory);
  self.memory = owned(self.api, memory, ort::kReleaseMemoryInfo);
}

OnnxRuntime::~OnnxRuntime() = default;

std::string OnnxRuntime::version() const { return implementation_->version; }

void OnnxRuntime::add_candidates(const Shape& shape, Lineup& lineup) {
  std::map<std::string, std::shared_ptr<ort::Session>> kept;
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
