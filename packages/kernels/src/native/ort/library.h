// A loaded libonnxruntime with its environment. Stays for the rest of the process: ONNX Runtime cannot be unloaded.
#pragma once

#include <string>

#include "ort/ort_api.h"

namespace tritforge::ort {

class Library {
 public:
  // Loads the library at `path`, once per path; may be called on any thread.
  // Throws a Failure where it cannot be loaded, is not ONNX Runtime or is too old.
  static const Library& open(const std::string& path);

  const Api& api() const { return api_; }
  const Env* env() const { return env_; }
  // Such as "1.30.0".
  const std::string& version() const { return version_; }
  // Of tensors in ordinary memory.
  const MemoryInfo* memory() const { return memory_; }

 private:
  explicit Library(const std::string& path);

  Api api_;
  Env* env_ = nullptr;
  MemoryInfo* memory_ = nullptr;
  std::string version_;
};

}  // namespace tritforge::ort
