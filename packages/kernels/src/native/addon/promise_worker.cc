#include "promise_worker.h"

#include <new>

namespace tritforge {

void PromiseWorker::Execute() {
  try {
    compute();
  } catch (const std::bad_alloc&) {
    failure_ = "not enough memory for this call";
  }
}

// Replaces the base's version, which lets an exception escape when a worker thread is terminated meanwhile: nothing can
// be created there any more, and nobody is left to be told.
void PromiseWorker::OnWorkComplete(Napi::Env env, napi_status status) {
  if (status != napi_cancelled) {
    try {
      const Napi::HandleScope scope(env);
      settle(env);
    } catch (const Napi::Error&) {
    }
  }
  Destroy();
}

void PromiseWorker::settle(Napi::Env env) {
  if (!failure_.empty()) return deferred_.Reject(Napi::RangeError::New(env, failure_).Value());
  try {
    deferred_.Resolve(result(env));
  } catch (const Napi::Error& error) {
    deferred_.Reject(error.Value());
  }
}

}  // namespace tritforge
