#include "dynamic_matmul_worker.h"

#include <utility>

#include "tritforge/thread_pool.h"
#include "typed_arrays.h"

namespace tritforge {

DynamicMatmulWorker::DynamicMatmulWorker(Napi::Env env, DynamicMatmulCall call)
    : PromiseWorker(env, "tritforge.dynamicMatmul"), call_(std::move(call)) {}

void DynamicMatmulWorker::compute() {
  const PackedWeights& weights = call_.block->weights();
  y_.resize(call_.rows * weights.shape.output_channels);
  const Parallel parallel = process_threads(call_.threads);
  PackedBlock scratch(call_.kernel->scratch_bytes(weights, call_.rows, parallel.threads));
  const Status status =
      call_.kernel->run(weights, call_.x.data(), call_.rows, call_.channel_scales.data(),
                        call_.bias.empty() ? nullptr : call_.bias.data(), y_.data(), scratch.data(), parallel);
  if (status != Status::ok) fail(describe(status));
}

Napi::Value DynamicMatmulWorker::result(Napi::Env env) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("values", to_javascript<Napi::Float32Array>(env, y_));
  object.Set("kernel", Napi::String::New(env, call_.kernel->name));
  return object;
}

}  // namespace tritforge
