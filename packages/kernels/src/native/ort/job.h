// A piece of work between JavaScript and a thread of ours: made and settled on the JavaScript thread, executed on another.
#pragma once

#include <napi.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "ort/job_threads.h"
#include "ort/session.h"

namespace tritforge::ort {

class JobChannel;

class Job : public ThreadTask, public std::enable_shared_from_this<Job> {
 public:
  explicit Job(Napi::Env env) : deferred_(env) {}

  Napi::Promise promise() const { return deferred_.Promise(); }
  void cancel() { cancellation_.request(); }
  void execute() noexcept final;
  void settle(Napi::Env env);
  // Executes and settles on the JavaScript thread, which waits; for a job that was not started.
  void run_here(Napi::Env env);

 protected:
  // On the thread. May throw; what() becomes the message of the rejection.
  virtual void compute() = 0;
  // On the JavaScript thread, after compute() succeeded.
  virtual napi_value result(Napi::Env env) = 0;

  Cancellation cancellation_;

 private:
  friend class JobChannel;

  void attempt() noexcept;

  Napi::Promise::Deferred deferred_;
  std::optional<std::string> failure_;
  std::shared_ptr<JobChannel> channel_;
  std::int64_t id_ = 0;
};

// The way back to one JavaScript thread, and the jobs that are on their way.
class JobChannel : public std::enable_shared_from_this<JobChannel> {
 public:
  // Registers a hook that cancels all jobs when the environment ends.
  static std::shared_ptr<JobChannel> create(Napi::Env env);

  // On the JavaScript thread. `id` is how cancel() finds the job; throws a Napi::Error where it is in use or no thread can be had.
  void start(Napi::Env env, std::shared_ptr<Job> job, std::int64_t id);
  void cancel(std::int64_t id);
  // Cancels all jobs and waits for them, but not longer than `limit`. Returns whether all have ended.
  bool stop(std::chrono::milliseconds limit);

 private:
  friend class Job;

  void open(Napi::Env env);
  void finished(std::shared_ptr<Job> job);  // on the job's thread
  static void deliver(napi_env env, napi_value callback, void* context, void* data);

  std::mutex mutex_;
  std::condition_variable ended_;
  std::map<std::int64_t, std::shared_ptr<Job>> running_;
  napi_threadsafe_function function_ = nullptr;  // null before the first job and after the environment's end
  std::size_t unsettled_ = 0;                    // of the JavaScript thread alone
};

}  // namespace tritforge::ort
