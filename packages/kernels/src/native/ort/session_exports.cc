#include "ort/session_exports.h"

#include <memory>
#include <string>
#include <utility>

#include "addon/arguments.h"
#include "ort/job.h"
#include "ort/js_values.h"
#include "ort/library.h"
#include "ort/load_job.h"
#include "ort/run_job.h"
#include "ort/session.h"

namespace tritforge::ort {
namespace {

constexpr double kMaxWaitMs = 60000;

using ChannelHandle = std::shared_ptr<JobChannel>;

class EndProfilingJob final : public Job {
 public:
  EndProfilingJob(Napi::Env env, std::shared_ptr<LoadedSession> session) : Job(env), session_(std::move(session)) {}

 protected:
  void compute() override { path_ = session_->end_profiling(); }
  napi_value result(Napi::Env env) override { return Napi::String::New(env, path_); }

 private:
  std::shared_ptr<LoadedSession> session_;
  std::string path_;
};

class ReleaseJob final : public Job {
 public:
  ReleaseJob(Napi::Env env, std::shared_ptr<LoadedSession> session) : Job(env), session_(std::move(session)) {}

 protected:
  void compute() override { session_.reset(); }
  napi_value result(Napi::Env env) override { return env.Undefined(); }

 private:
  std::shared_ptr<LoadedSession> session_;
};

JobChannel& channel_of(const Napi::CallbackInfo& info) { return **static_cast<ChannelHandle*>(info.Data()); }

template <typename Parse>
Napi::Value start(const Napi::CallbackInfo& info, std::size_t arguments, Parse&& parse) {
  expect_arguments(info, arguments);
  try {
    const std::int64_t id = id_argument(info[0]);
    std::shared_ptr<Job> job = parse();
    const Napi::Promise promise = job->promise();
    channel_of(info).start(info.Env(), std::move(job), id);
    return promise;
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception&) {
    throw Napi::RangeError::New(info.Env(), "not enough memory for this call");
  }
}

Napi::Value open(const Napi::CallbackInfo& info) {
  expect_arguments(info, 1);
  try {
    const Library& library = Library::open(text_argument(info[0], "path"));
    auto external = Napi::External<Library>::New(info.Env(), const_cast<Library*>(&library));
    external.TypeTag(&kLibraryTag);
    Napi::Array result = Napi::Array::New(info.Env(), 2);
    result.Set(0u, external);
    result.Set(1u, Napi::String::New(info.Env(), library.version()));
    return result;
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Napi::Error::New(info.Env(), error.what());
  }
}

Napi::Value load(const Napi::CallbackInfo& info) {
  return start(info, kLoadArguments, [&] { return make_load_job(info); });
}

Napi::Value run(const Napi::CallbackInfo& info) {
  return start(info, kRunArguments, [&] { return make_run_job(info); });
}

Napi::Value run_here(const Napi::CallbackInfo& info) {
  expect_arguments(info, kRunHereArguments);
  try {
    const std::shared_ptr<Job> job = make_run_here_job(info);
    job->run_here(info.Env());
    return job->promise();
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception&) {
    throw Napi::RangeError::New(info.Env(), "not enough memory for this call");
  }
}

Napi::Value end_profiling(const Napi::CallbackInfo& info) {
  return start(info, 2, [&] { return std::make_shared<EndProfilingJob>(info.Env(), session_argument(info[1])); });
}

Napi::Value release(const Napi::CallbackInfo& info) {
  return start(info, 2, [&] {
    return std::make_shared<ReleaseJob>(info.Env(), std::move(session_handle_argument(info[1]).session));
  });
}

void cancel(const Napi::CallbackInfo& info) {
  expect_arguments(info, 1);
  channel_of(info).cancel(id_argument(info[0]));
}

Napi::Value stop(const Napi::CallbackInfo& info) {
  expect_arguments(info, 1);
  const std::chrono::milliseconds limit(integer_argument(info[0], "limitMs", 0, kMaxWaitMs));
  return Napi::Boolean::New(info.Env(), channel_of(info).stop(limit));
}

}  // namespace

void export_sessions(Napi::Env env, Napi::Object exports) {
  keep_addon_loaded();
  auto* channel = new ChannelHandle(JobChannel::create(env));
  env.AddCleanupHook([](ChannelHandle* handle) { delete handle; }, channel);
  const auto add = [&](auto function, const char* name) {
    exports.Set(name, Napi::Function::New(env, function, name, channel));
  };
  add(open, "ortOpen");
  add(load, "ortLoad");
  add(run, "ortRun");
  add(run_here, "ortRunHere");
  add(end_profiling, "ortEndProfiling");
  add(release, "ortRelease");
  add(cancel, "ortCancel");
  add(stop, "ortStop");
}

}  // namespace tritforge::ort
