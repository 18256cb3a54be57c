#include "ort/ops/run_support.h"

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <new>

#include "ort/status.h"

namespace tritforge::ort {
namespace {

constexpr std::size_t kAlignment = 64;
// Runs that overlap leave at most so many pieces behind.
constexpr std::size_t kMaxStock = 16;

struct Piece {
  std::uint8_t* data;
  std::size_t bytes;
};

struct Stock {
  std::mutex mutex;
  std::vector<Piece> pieces;
  std::size_t users = 0;
};

Stock& stock() {
  static Stock& only = *new Stock;  // never destroyed: runs may outlive the end of main
  return only;
}

void run_on_session(void* pool, std::size_t count, Task task, void* context) noexcept {
  const RunContext& run = *static_cast<const RunContext*>(pool);
  struct Work {
    Task task;
    void* context;
  } work{task, context};
  const auto one = [](void* data, std::size_t index) {
    const Work& w = *static_cast<Work*>(data);
    w.task(w.context, index);
  };
  // A batch per task, so that a thread that is done takes the next.
  const KernelContext* kernel = run.context;
  Status* status = run.api(kKernelContext_ParallelFor, kernel, +one, count, count, static_cast<void*>(&work));
  if (status == nullptr) return;
  run.api(kReleaseStatus, status);
  for (std::size_t i = 0; i < count; ++i) task(context, i);
}

}  // namespace

TensorView run_input(const RunContext& run, std::size_t index) {
  const Value* value = nullptr;
  check(run.api, run.api(kKernelContext_GetInput, run.context, index, &value));
  if (value == nullptr) throw Failure("input " + std::to_string(index) + " is missing");
  return view_tensor(run.api, value);
}

void* run_output(const RunContext& run, const std::vector<std::int64_t>& shape, std::size_t index) {
  Value* value = nullptr;
  check(run.api, run.api(kKernelContext_GetOutput, run.context, index, shape.data(), shape.size(), &value));
  if (value == nullptr) throw Failure("output " + std::to_string(index) + " is missing");
  void* data = nullptr;
  check(run.api, run.api(kGetTensorMutableData, value, &data));
  return data;
}

Parallel session_threads(const RunContext& run) {
  if (run.threads <= 1 || !run.api.has(kKernelContext_ParallelFor)) return kSerial;
  return {run_on_session, const_cast<RunContext*>(&run), run.threads};
}

ScratchUser::ScratchUser() {
  const std::lock_guard lock(stock().mutex);
  ++stock().users;
}

ScratchUser::~ScratchUser() {
  const std::lock_guard lock(stock().mutex);
  if (--stock().users > 0) return;
  for (const Piece& piece : stock().pieces) std::free(piece.data);
  stock().pieces.clear();
}

Scratch::Scratch(std::size_t bytes) : data_(nullptr), bytes_(bytes) {
  if (bytes == 0) return;
  {
    const std::lock_guard lock(stock().mutex);
    auto& pieces = stock().pieces;
    const auto largest = std::max_element(pieces.begin(), pieces.end(), [](Piece a, Piece b) { return a.bytes < b.bytes; });
    if (largest != pieces.end()) {
      // Too small a piece makes room for the larger one.
      if (largest->bytes >= bytes) {
        data_ = largest->data;
        bytes_ = largest->bytes;
      } else {
        std::free(largest->data);
      }
      pieces.erase(largest);
    }
  }
  if (data_ != nullptr) return;
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, bytes) != 0) throw std::bad_alloc();
  data_ = static_cast<std::uint8_t*>(memory);
}

Scratch::~Scratch() {
  if (data_ == nullptr) return;
  const std::lock_guard lock(stock().mutex);
  if (stock().pieces.size() < kMaxStock) {
    stock().pieces.push_back({data_, bytes_});
  } else {
    std::free(data_);
  }
}

}  // namespace tritforge::ort
