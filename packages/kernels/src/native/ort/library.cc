#include "ort/library.h"

#include <dlfcn.h>

#include <map>
#include <memory>
#include <mutex>

#include "ort/status.h"

namespace tritforge::ort {
namespace {

const ApiBase* load(const std::string& path) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw Failure("cannot load " + path + ": " + dlerror());
  using GetApiBase = const ApiBase* (*)();
  const auto get_api_base = reinterpret_cast<GetApiBase>(dlsym(handle, "OrtGetApiBase"));
  if (get_api_base == nullptr) throw Failure(path + " is not ONNX Runtime: it has no OrtGetApiBase");
  return get_api_base();
}

}  // namespace

Library::Library(const std::string& path) {
  const ApiBase* base = load(path);
  version_ = base->get_version_string();
  api_ = find_api(base);
  if (!api_) {
    throw Failure(path + " is onnxruntime " + version_ + ", which is too old: 1." + std::to_string(kOldestApi) +
                  " or newer is needed");
  }
  check(api_, api_(kCreateEnv, LoggingLevel::fatal, "tritforge", &env_));
  check(api_, api_(kDisableTelemetryEvents, env_));
  check(api_, api_(kCreateCpuMemoryInfo, AllocatorType::device, MemoryType::normal, &memory_));
}

const Library& Library::open(const std::string& path) {
  // Never destroyed: sessions may still run while the process ends.
  static auto& mutex = *new std::mutex;
  static auto& libraries = *new std::map<std::string, std::unique_ptr<Library>>;
  const std::lock_guard lock(mutex);
  std::unique_ptr<Library>& library = libraries[path];
  if (!library) library.reset(new Library(path));
  return *library;
}

}  // namespace tritforge::ort
