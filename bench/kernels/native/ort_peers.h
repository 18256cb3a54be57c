// ONNX Runtime as a peer, through the C ABI of the library that onnxruntime-node ships.
#pragma once

#include <memory>
#include <string>

#include "candidate.h"
#include "shape.h"

namespace bench {

class OnnxRuntime {
 public:
  // Loads the shared library. Throws std::runtime_error.
  explicit OnnxRuntime(const std::string& library);
  ~OnnxRuntime();

  std::string version() const;

  // Adds the peers of a shape: sessions of one thread with every optimization. Sessions stay loaded until a shape comes that does
  // not use them.
  void add_candidates(const Shape& shape, Lineup& lineup);

 private:
  struct Implementation;
  std::shared_ptr<Implementation> implementation_;
};

}  // namespace bench
