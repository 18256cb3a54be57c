#include "ort/job.h"

#include <exception>
#include <new>
#include <system_error>
#include <utility>

#include "ort/status.h"

namespace tritforge::ort {
namespace {

// How long the end of an environment waits for its jobs to notice.
constexpr std::chrono::milliseconds kStopLimit{2000};

}  // namespace

void Job::execute() noexcept {
  attempt();
  channel_->finished(shared_from_this());
}

void Job::run_here(Napi::Env env) {
  attempt();
  settle(env);
}

void Job::attempt() noexcept {
  try {
    if (cancellation_.requested()) throw Failure("cancelled");
    compute();
  } catch (const std::bad_alloc&) {
    failure_ = "not enough memory";
  } catch (const std::exception& error) {
    failure_ = error.what();
  }
}

void Job::settle(Napi::Env env) {
  if (failure_) return deferred_.Reject(Napi::Error::New(env, *failure_).Value());
  try {
    deferred_.Resolve(result(env));
  } catch (const Napi::Error& error) {
    deferred_.Reject(error.Value());
  } catch (const std::bad_alloc&) {
    deferred_.Reject(Napi::Error::New(env, "not enough memory").Value());
  }
}

std::shared_ptr<JobChannel> JobChannel::create(Napi::Env env) {
  auto channel = std::make_shared<JobChannel>();
  env.AddCleanupHook([channel] { channel->stop(kStopLimit); });
  return channel;
}

void JobChannel::start(Napi::Env env, std::shared_ptr<Job> job, std::int64_t id) {
  if (function_ == nullptr) open(env);
  job->channel_ = shared_from_this();
  job->id_ = id;
  {
    const std::lock_guard lock(mutex_);
    if (!running_.emplace(id, job).second) throw Napi::RangeError::New(env, "id is in use by another call");
  }
  try {
    run_on_thread(job);
  } catch (const std::exception& error) {
    const std::lock_guard lock(mutex_);
    running_.erase(id);
    throw Napi::Error::New(env, error.what());
  }
  // The event loop lives until the last job has settled.
  if (unsettled_++ == 0) napi_ref_threadsafe_function(env, function_);
}

void JobChannel::cancel(std::int64_t id) {
  std::shared_ptr<Job> job;
  {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(id);
    if (found != running_.end()) job = found->second;
  }
  if (job) job->cancel();
}

bool JobChannel::stop(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  for (const auto& [id, job] : running_) job->cancel();
  return ended_.wait_for(lock, limit, [this] { return running_.empty(); });
}

void JobChannel::open(Napi::Env env) {
  // The context keeps this channel alive until nothing can arrive any more.
  auto* context = new std::shared_ptr<JobChannel>(shared_from_this());
  const auto finalize = [](napi_env, void*, void* hint) {
    std::unique_ptr<std::shared_ptr<JobChannel>> context(static_cast<std::shared_ptr<JobChannel>*>(hint));
    const std::lock_guard lock((*context)->mutex_);
    (*context)->function_ = nullptr;
  };
  const Napi::String name = Napi::String::New(env, "tritforge.ort");
  const napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, finalize,
                                                             context, deliver, &function_);
  if (status != napi_ok) {
    delete context;
    function_ = nullptr;
    throw Napi::Error::New(env);
  }
  napi_unref_threadsafe_function(env, function_);
}

void JobChannel::finished(std::shared_ptr<Job> job) {
  const std::lock_guard lock(mutex_);
  running_.erase(job->id_);
  if (function_ != nullptr) {
    auto* message = new std::shared_ptr<Job>(std::move(job));
    if (napi_call_threadsafe_function(function_, message, napi_tsfn_nonblocking) != napi_ok) {
      // The environment is ending, and nobody is left to be told. The function must not be touched again.
      delete message;
      function_ = nullptr;
    }
  }
  ended_.notify_all();
}

void JobChannel::deliver(napi_env env, napi_value, void*, void* data) {
  const std::unique_ptr<std::shared_ptr<Job>> message(static_cast<std::shared_ptr<Job>*>(data));
  if (env == nullptr) return;
  Job& job = **message;
  JobChannel& channel = *job.channel_;
  try {
    job.settle(env);
  } catch (const Napi::Error&) {
    // The environment is ending.
  }
  if (--channel.unsettled_ == 0) napi_unref_threadsafe_function(env, channel.function_);
}

}  // namespace tritforge::ort
