#include "ort/run_job.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "ort/element_types.h"
#include "ort/js_values.h"
#include "ort/session.h"

namespace tritforge::ort {
namespace {

// Larger outputs reach JavaScript without another copy, and larger inputs of a run during which JavaScript waits are read where they are.
constexpr std::size_t kCopiedBytes = 64 << 10;

class RunJob final : public Job {
 public:
  // @param waits whether JavaScript waits for the run
  RunJob(Napi::Env env, std::shared_ptr<LoadedSession> session, bool waits)
      : Job(env), session_(std::move(session)), waits_(waits) {}

  // Checks the tensors and copies them: JavaScript may detach or resize a buffer while a thread reads. Nothing of JavaScript
  // runs between the checks and the copy.
  void take_inputs(const Napi::Value& indexes_value, const Napi::Value& shapes_value, const Napi::Value& data_value) {
    const auto indexes = indexes_argument(indexes_value, "inputIndexes", session_->inputs().size());
    const Napi::Array shapes = list_argument(shapes_value, "shapes");
    const Napi::Array data = list_argument(data_value, "data");
    if (shapes.Length() != indexes.size() || data.Length() != indexes.size()) {
      throw Napi::RangeError::New(indexes_value.Env(), "inputIndexes, shapes and data differ in length");
    }
    std::vector<Napi::Value> arrays;
    for (std::uint32_t i = 0; i < indexes.size(); ++i) {
      const std::string name = "the shape of " + session_->inputs()[indexes[i]].name;
      inputs_.push_back({indexes[i], shape_argument(shapes.Get(i), name), nullptr, 0});
      arrays.push_back(data.Get(i));
    }
    copy_inputs(arrays);
  }

  void take_outputs(const Napi::Value& indexes) {
    for (const std::size_t index : indexes_argument(indexes, "outputIndexes", session_->outputs().size())) {
      requests_.push_back({index});
    }
    if (requests_.empty()) throw Napi::RangeError::New(indexes.Env(), "outputIndexes must not be empty");
  }

  // Memory of JavaScript that outputs are written to. Only for a run during which JavaScript waits, so that it stays where it is.
  void take_targets(const Napi::Value& targets_value) {
    const Napi::Array targets = list_argument(targets_value, "targets");
    if (targets.Length() != requests_.size()) {
      throw Napi::RangeError::New(targets_value.Env(), "targets and outputIndexes differ in length");
    }
    for (std::uint32_t i = 0; i < requests_.size(); ++i) {
      const Napi::Value value = targets.Get(i);
      if (value.IsNull()) continue;
      OutputRequest& request = requests_[i];
      const ValueDescription& output = session_->outputs()[request.index];
      const Napi::Array target = list_argument(value, "the target of " + output.name);
      request.type = output.type;
      request.shape = shape_argument(target.Get(0u), "the shape of " + output.name);
      const Bytes bytes = checked_bytes(target.Get(1u), "output", output, request.shape);
      if (bytes.count == 0) continue;  // nothing is written, and there may be no memory
      request.data = bytes.data;
      request.bytes = bytes.count;
    }
  }

 protected:
  void compute() override {
    outputs_ = session_->run(inputs_, requests_, cancellation_);
    session_->give_block(std::move(block_));
    session_.reset();
  }

  napi_value result(Napi::Env env) override {
    Napi::Array results = Napi::Array::New(env, outputs_.size());
    for (std::uint32_t i = 0; i < outputs_.size(); ++i) {
      Napi::Array shape = Napi::Array::New(env, outputs_[i].shape.size());
      for (std::uint32_t axis = 0; axis < outputs_[i].shape.size(); ++axis) {
        shape.Set(axis, Napi::Number::New(env, static_cast<double>(outputs_[i].shape[axis])));
      }
      Napi::Array output = Napi::Array::New(env, 3);
      output.Set(0u, Napi::String::New(env, element_type_info(outputs_[i].type).name));
      output.Set(1u, shape);
      output.Set(2u, requests_[i].data == nullptr ? to_array(env, outputs_[i]) : env.Null());
      results.Set(i, output);
    }
    return results;
  }

 private:
  static constexpr std::size_t rounded_up(std::size_t bytes) {
    return (bytes + kInputAlignment - 1) / kInputAlignment * kInputAlignment;
  }

  struct Bytes {
    void* data;
    std::size_t count;
  };

  void copy_inputs(const std::vector<Napi::Value>& arrays) {
    std::vector<Bytes> sources;
    std::size_t total_bytes = kInputAlignment;  // so that no input is at a null pointer
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const ValueDescription& input = session_->inputs()[inputs_[i].index];
      sources.push_back(checked_bytes(arrays[i], "input", input, inputs_[i].shape));
      inputs_[i].data = is_read_in_place(input, sources[i].count) ? sources[i].data : nullptr;
      inputs_[i].bytes = sources[i].count;
      if (inputs_[i].data == nullptr) total_bytes += rounded_up(sources[i].count);
    }
    block_ = session_->take_block(total_bytes);
    std::uint8_t* next = block_.data();
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      if (inputs_[i].data != nullptr) continue;
      inputs_[i].data = next;
      if (sources[i].count != 0) std::memcpy(next, sources[i].data, sources[i].count);
      next += rounded_up(sources[i].count);
    }
  }

  // Other threads may write to shared memory meanwhile. For floats that only changes results; an index could change after it was checked.
  bool is_read_in_place(const ValueDescription& input, std::size_t bytes) const {
    return waits_ && bytes > kCopiedBytes && input.type == ElementType::float32;
  }

  static Bytes checked_bytes(const Napi::Value& value, const std::string& role, const ValueDescription& description,
                             const std::vector<std::int64_t>& shape) {
    const Napi::Env env = value.Env();
    const ElementTypeInfo& type = element_type_info(description.type);
    if (!description.is_tensor || type.bytes == 0) {
      throw Napi::TypeError::New(
          env, "the " + role + " " + description.name + " has elements of type " + type.name + ", which cannot be given");
    }
    napi_typedarray_type given{};
    std::size_t length = 0;
    void* data = nullptr;
    const bool is_array = value.IsTypedArray() &&
                          napi_get_typedarray_info(env, value, &given, &length, &data, nullptr, nullptr) == napi_ok;
    if (!is_array || given != array_type(description.type)) {
      throw Napi::TypeError::New(env, "the data of " + description.name + " is not a typed array for " + type.name);
    }
    const std::size_t count = element_count(env, description.name, shape);
    if (length != count) {
      throw Napi::RangeError::New(env, "the data of " + description.name + " must have " + std::to_string(count) +
                                           " elements, got " + std::to_string(length));
    }
    return {data, count * type.bytes};
  }

  static std::size_t element_count(Napi::Env env, const std::string& name, const std::vector<std::int64_t>& shape) {
    std::size_t count = 1;
    for (const std::int64_t size : shape) {
      if (__builtin_mul_overflow(count, static_cast<std::size_t>(size), &count)) {
        throw Napi::RangeError::New(env, "the shape of " + name + " is too large");
      }
    }
    return count;
  }

  static Napi::Value to_array(Napi::Env env, OutputTensor& output) {
    const std::size_t count = output.bytes / element_type_info(output.type).bytes;
    napi_value buffer = nullptr;
    if (output.bytes <= kCopiedBytes || !lend(env, output, &buffer)) {
      Napi::ArrayBuffer copy = Napi::ArrayBuffer::New(env, output.bytes);
      if (output.bytes != 0) std::memcpy(copy.Data(), output.data.get(), output.bytes);
      buffer = copy;
    }
    napi_value array = nullptr;
    if (napi_create_typedarray(env, array_type(output.type), count, buffer, 0, &array) != napi_ok)
      throw Napi::Error::New(env);
    return Napi::Value(env, array);
  }

  // Hands the memory over to JavaScript; false where the embedder does not allow that.
  static bool lend(Napi::Env env, OutputTensor& output, napi_value* buffer) {
    const auto finalize = [](napi_env, void* data, void*) { std::free(data); };
    if (napi_create_external_arraybuffer(env, output.data.get(), output.bytes, finalize, nullptr, buffer) != napi_ok)
      return false;
    output.data.release();
    return true;
  }

  std::shared_ptr<LoadedSession> session_;
  bool waits_;
  InputBlock block_;
  std::vector<InputTensor> inputs_;
  std::vector<OutputRequest> requests_;
  std::vector<OutputTensor> outputs_;
};

std::shared_ptr<RunJob> run_job(const Napi::CallbackInfo& info, bool waits) {
  auto job = std::make_shared<RunJob>(info.Env(), session_argument(info[1]), waits);
  job->take_inputs(info[2], info[3], info[4]);
  job->take_outputs(info[5]);
  return job;
}

}  // namespace

std::shared_ptr<Job> make_run_job(const Napi::CallbackInfo& info) { return run_job(info, false); }

std::shared_ptr<Job> make_run_here_job(const Napi::CallbackInfo& info) {
  const std::shared_ptr<RunJob> job = run_job(info, true);
  job->take_targets(info[6]);
  return job;
}

}  // namespace tritforge::ort
