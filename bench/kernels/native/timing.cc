#include "timing.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <functional>

namespace bench {
namespace {

constexpr double kSampleSeconds = 0.3e-3;
constexpr double kShortSeconds = 10e-3;  // runs below are preceded by one that is not timed
constexpr std::size_t kMinRounds = 5, kMaxRounds = 200, kColdRounds = 15;
constexpr std::size_t kCacheLine = 64, kLastCacheBytes = 32u << 20;

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double time_of(const std::function<void()>& run, std::size_t repetitions) {
  const double start = thread_seconds();
  for (std::size_t i = 0; i < repetitions; ++i) run();
  return (thread_seconds() - start) / static_cast<double>(repetitions);
}

Summary summarize(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  const std::size_t middle = samples.size() / 2;
  const double median = samples.size() % 2 == 1 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
  return {samples.front(), median, samples.size()};
}

std::vector<std::size_t> order_of(std::size_t count, std::size_t round) {
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = (i + round) % count;
  if (round / count % 2 == 1) std::reverse(order.begin(), order.end());
  return order;
}

std::vector<Summary> time_warm(const std::vector<Candidate>& candidates, double budget_seconds_each) {
  const std::size_t count = candidates.size();
  std::vector<std::size_t> repetitions;
  for (const Candidate& candidate : candidates) {
    candidate.run();
    const double seconds = std::max(time_of(candidate.run, 1), 1e-7);
    repetitions.push_back(static_cast<std::size_t>(std::ceil(kSampleSeconds / seconds)));
  }
  std::vector<std::vector<double>> samples(count);
  double spent = 0;
  for (std::size_t round = 0; round < kMaxRounds; ++round) {
    if (round >= kMinRounds && spent > budget_seconds_each * static_cast<double>(count)) break;
    for (const std::size_t i : order_of(count, round)) {
      if (round == 0 || samples[i].back() < kShortSeconds) candidates[i].run();
      samples[i].push_back(time_of(candidates[i].run, repetitions[i]));
      spent += samples[i].back() * static_cast<double>(repetitions[i]);
    }
  }
  std::vector<Summary> summaries;
  for (auto& each : samples) summaries.push_back(summarize(std::move(each)));
  return summaries;
}

std::vector<Summary> time_cold(const std::vector<Candidate>& candidates, const CacheFlusher& flusher) {
  std::vector<std::vector<double>> samples(candidates.size());
  for (std::size_t round = 0; round < kColdRounds; ++round) {
    for (const std::size_t i : order_of(candidates.size(), round)) {
      flusher.flush();
      samples[i].push_back(time_of(candidates[i].run, 1));
    }
  }
  std::vector<Summary> summaries;
  for (auto& each : samples) summaries.push_back(summarize(std::move(each)));
  return summaries;
}

std::size_t last_cache_bytes() {
  const long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return bytes > 0 ? static_cast<std::size_t>(bytes) : kLastCacheBytes;
}

}  // namespace

CacheFlusher::CacheFlusher() : memory_(4 * last_cache_bytes(), 1) {}

void CacheFlusher::flush() const {
  volatile char sink = 0;
  char sum = 0;
  for (std::size_t i = 0; i < memory_.size(); i += kCacheLine) sum = static_cast<char>(sum + memory_[i]);
  sink = sum;
  (void)sink;
}

std::vector<Timing> time_interleaved(const std::vector<Candidate>& candidates, double budget_seconds_each,
                                     const CacheFlusher* flusher) {
  std::vector<Timing> timings;
  for (const Summary& warm : time_warm(candidates, budget_seconds_each)) timings.push_back({warm, std::nullopt});
  if (flusher != nullptr) {
    const std::vector<Summary> cold = time_cold(candidates, *flusher);
    for (std::size_t i = 0; i < cold.size(); ++i) timings[i].cold = cold[i];
  }
  return timings;
}

}  // namespace bench
