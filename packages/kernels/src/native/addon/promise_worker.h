// Work on a thread of the libuv pool whose result settles a promise.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <utility>

namespace tritforge {

class PromiseWorker : public Napi::AsyncWorker {
 public:
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  PromiseWorker(Napi::Env env, const char* name) : Napi::AsyncWorker(env, name), deferred_(env) {}

  // Runs off the event loop; must not touch JavaScript. May throw std::bad_alloc.
  virtual void compute() = 0;
  // Makes the result, on the event loop.
  virtual Napi::Value result(Napi::Env env) = 0;

  // For compute(): the promise will be rejected with a RangeError of this message.
  void fail(std::string message) { failure_ = std::move(message); }

 private:
  void Execute() final;
  void OnWorkComplete(Napi::Env env, napi_status status) final;
  void settle(Napi::Env env);

  std::string failure_;
  Napi::Promise::Deferred deferred_;
};

// Queues the worker, which deletes itself when its promise has settled.
template <typename Worker>
Napi::Value start(std::unique_ptr<Worker> worker) {
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  worker.release();
  return promise;
}

}  // namespace tritforge
