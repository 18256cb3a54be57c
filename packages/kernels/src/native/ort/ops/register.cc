#include "ort/ops/register.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

#include "ort/ops/operator.h"
#include "ort/status.h"
#include "tritforge/thread_pool.h"

namespace tritforge::ort {
namespace {

constexpr const char* kDomain = "tritforge";

// The operators for one library and one number of threads. Sessions refer to them as long as they live, so they stay.
struct RegisteredDomain {
  Api api;
  std::size_t threads;
  CustomOpDomain* domain = nullptr;
  std::deque<Operator> operators;
};

CustomOpDomain* find_domain(const Api& api, std::size_t threads) {
  static auto& mutex = *new std::mutex;
  static auto& domains = *new std::deque<RegisteredDomain>;
  const std::lock_guard lock(mutex);
  for (const RegisteredDomain& known : domains) {
    if (known.api.table() == api.table() && known.threads == threads) return known.domain;
  }
  auto domain = made<CustomOpDomain>(api, kReleaseCustomOpDomain, kCreateCustomOpDomain, kDomain);
  RegisteredDomain& added = domains.emplace_back(RegisteredDomain{api, threads, nullptr, {}});
  for (const auto table : {convolution_operators(), matmul_operators(), pool_operators(), training_operators()}) {
    for (const OperatorDefinition& definition : table) {
      check(api, api(kCustomOpDomain_Add, domain.get(), &added.operators.emplace_back(api, definition, threads)));
    }
  }
  added.domain = domain.release();
  return added.domain;
}

// ONNX Runtime does not tell an operator how many threads its session has.
std::size_t thread_count(const Api& api, const SessionOptions* options) {
  const std::size_t all = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kMaxThreads);
  int has = 0;
  check(api, api(kHasSessionConfigEntry, options, kThreadsKey, &has));
  if (has == 0) return all;
  char text[16] = {};
  std::size_t bytes = sizeof text;
  check(api, api(kGetSessionConfigEntry, options, kThreadsKey, text, &bytes));
  std::size_t threads = 0;
  const auto [end, error] = std::from_chars(text, text + std::strlen(text), threads);
  if (error != std::errc() || *end != '\0' || threads > kMaxThreads) {
    throw Failure(std::string(kThreadsKey) + " must be a number from 0 to " + std::to_string(kMaxThreads) + ", got " + text);
  }
  return threads == 0 ? all : threads;
}

}  // namespace

Status* register_operators(const Api& api, SessionOptions* options) noexcept {
  return guarded(api, [&] { check(api, api(kAddCustomOpDomain, options, find_domain(api, thread_count(api, options)))); });
}

}  // namespace tritforge::ort
