#include "convolve_worker.h"

#include <utility>

#include "tritforge/thread_pool.h"
#include "typed_arrays.h"

namespace tritforge {

ConvolveWorker::ConvolveWorker(Napi::Env env, ConvolveCall call)
    : PromiseWorker(env, "tritforge.convolve"), call_(std::move(call)) {}

void ConvolveWorker::compute() {
  const PackedWeights& weights = call_.block->weights();
  void* output = nullptr;
  if (call_.output == OutputKind::u8) codes_.resize(call_.outputs), output = codes_.data();
  if (call_.output == OutputKind::s32) sums_.resize(call_.outputs), output = sums_.data();
  if (call_.output == OutputKind::f32) floats_.resize(call_.outputs), output = floats_.data();
  const Parallel parallel = process_threads(call_.threads);
  PackedBlock scratch(call_.kernel->scratch_bytes(weights, call_.geometry, parallel.threads));
  const OutputStage stage{call_.output,
                          call_.bias.empty() ? nullptr : call_.bias.data(),
                          call_.multiplier.data(),
                          call_.output_zero_point,
                          call_.output_max_code,
                          {}};
  const ConvolutionInput input{call_.input.data(), call_.input_zero_point, call_.max_code};
  const Status status =
      convolve(*call_.kernel, weights, call_.geometry, input, stage, output, scratch.data(), parallel);
  if (status != Status::ok) fail(describe(status));
}

Napi::Value ConvolveWorker::result(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("values", call_.output == OutputKind::u8    ? to_javascript<Napi::Uint8Array>(env, codes_)
                       : call_.output == OutputKind::s32 ? to_javascript<Napi::Int32Array>(env, sums_)
                                                         : to_javascript<Napi::Float32Array>(env, floats_));
  object.Set("kernel", Napi::String::New(env, call_.kernel->name));
  return object;
}

}  // namespace tritforge
