// What kernels of operators need while they compute: inputs and outputs, threads of the session, scratch memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ort/ops/node_reader.h"
#include "ort/ops/operator.h"
#include "tritforge/parallel.h"

namespace tritforge::ort {

TensorView run_input(const RunContext& run, std::size_t index);

// Memory of an output.
void* run_output(const RunContext& run, const std::vector<std::int64_t>& shape, std::size_t index = 0);

// The threads of the session, as long as `run` lives.
Parallel session_threads(const RunContext& run);

// Memory aligned to 64 bytes from a stock of the process, so that neighbouring nodes find it in the cache. The stock is freed
// with the last ScratchUser.
class ScratchUser {
 public:
  ScratchUser();
  ~ScratchUser();
  ScratchUser(const ScratchUser&) = delete;
  ScratchUser& operator=(const ScratchUser&) = delete;
};

class Scratch {
 public:
  explicit Scratch(std::size_t bytes);  // throws std::bad_alloc
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::uint8_t* data() const { return data_; }

 private:
  std::uint8_t* data_;
  std::size_t bytes_;
};

}  // namespace tritforge::ort
