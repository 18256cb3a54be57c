// A loaded model. Nothing here knows JavaScript.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "ort/library.h"
#include "ort/ort_api.h"

namespace tritforge::ort {

struct SessionSettings {
  int intra_op_threads = 1;
  OptimizationLevel optimization = OptimizationLevel::all;
  bool memory_arena = true;
  bool custom_operators = true;
  std::vector<std::pair<std::string, std::string>> config;
  std::string profile_prefix;  // empty: no profile
  std::string optimized_path;  // empty: not written
};

// An input or output of a model.
struct ValueDescription {
  std::string name;
  bool is_tensor = false;
  ElementType type = ElementType::undefined;
  std::vector<std::int64_t> shape;   // -1 where the size is not fixed
  std::vector<std::string> symbols;  // its name then, or empty
};

// Cancels one load or run from another thread, before, while or after it runs.
class Cancellation {
 public:
  bool requested() const;
  void request();

  // Between the two, a request calls `stop(target)`; at once if it came before.
  void begin(void (*stop)(const Api&, void*), const Api& api, void* target);
  void end();

 private:
  mutable std::mutex mutex_;
  bool requested_ = false;
  void (*stop_)(const Api&, void*) = nullptr;
  Api api_;
  void* target_ = nullptr;
};

// A dense tensor. `data` is owned by someone else for an input, and by malloc for an output.
struct InputTensor {
  std::size_t index;  // of the input
  std::vector<std::int64_t> shape;
  void* data;  // not null, even if empty
  std::size_t bytes;
};

struct FreeMemory {
  void operator()(void* memory) const;
};

inline constexpr std::size_t kInputAlignment = 64;

// Aligned memory that inputs are copied to.
class InputBlock {
 public:
  InputBlock() = default;
  explicit InputBlock(std::size_t bytes);  // throws std::bad_alloc

  std::uint8_t* data() const { return static_cast<std::uint8_t*>(data_.get()); }
  std::size_t bytes() const { return bytes_; }

 private:
  std::unique_ptr<void, FreeMemory> data_;
  std::size_t bytes_ = 0;
};

struct OutputTensor {
  ElementType type = ElementType::undefined;
  std::vector<std::int64_t> shape;
  std::unique_ptr<void, FreeMemory> data;  // null where the output is in memory of the caller
  std::size_t bytes = 0;
};

// An output to compute, and memory of the caller that takes it. Where there is none, `data` is null and the result is new memory.
struct OutputRequest {
  std::size_t index;  // of the output
  ElementType type = ElementType::undefined;
  std::vector<std::int64_t> shape;
  void* data = nullptr;
  std::size_t bytes = 0;
};

class LoadedSession {
 public:
  // From a file, its external data relative to it, or from bytes. Throws a Failure.
  static std::shared_ptr<LoadedSession> from_file(const Library& library, const std::string& path,
                                                  const SessionSettings& settings, Cancellation& cancellation);
  static std::shared_ptr<LoadedSession> from_bytes(const Library& library, const std::vector<std::uint8_t>& bytes,
                                                   const SessionSettings& settings, Cancellation& cancellation);
  ~LoadedSession();
  LoadedSession(const LoadedSession&) = delete;
  LoadedSession& operator=(const LoadedSession&) = delete;

  const std::vector<ValueDescription>& inputs() const { return inputs_; }
  const std::vector<ValueDescription>& outputs() const { return outputs_; }

  // A block of at least so many bytes: the one that was given back last, if it is large enough. New memory would cost a page
  // fault for every 4 KB.
  InputBlock take_block(std::size_t bytes);
  void give_block(InputBlock block);

  // Runs once; any number of threads at a time. Throws a Failure.
  std::vector<OutputTensor> run(const std::vector<InputTensor>& inputs, const std::vector<OutputRequest>& outputs,
                                Cancellation& cancellation) const;

  // Closes the profile and returns its path. Throws a Failure.
  std::string end_profiling() const;

 private:
  LoadedSession(const Library& library, Session* session);
  template <typename Create>
  static std::shared_ptr<LoadedSession> load(const Library& library, const SessionSettings& settings,
                                             Cancellation& cancellation, Create&& create);
  OutputTensor copy_output(Value* value, const std::string& name) const;

  const Library& library_;
  Session* session_;
  std::vector<ValueDescription> inputs_;
  std::vector<ValueDescription> outputs_;
  std::mutex block_mutex_;
  InputBlock spare_block_;
};

}  // namespace tritforge::ort
