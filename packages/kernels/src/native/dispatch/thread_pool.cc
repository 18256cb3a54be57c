#include "tritforge/thread_pool.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

namespace tritforge {
namespace {

class ThreadPool {
 public:
  void run(std::size_t threads, std::size_t count, Task task, void* context) noexcept {
    const std::unique_lock<std::mutex> owner(owner_, std::try_to_lock);
    if (!owner.owns_lock()) return in_order(count, task, context);
    grow(threads - 1);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      work_ = {task, context, count};
      next_.store(0, std::memory_order_relaxed);
      wanted_ = threads - 1 < helpers_ ? threads - 1 : helpers_;
      running_ = wanted_;
      ++round_;
    }
    wake_.notify_all();
    take_tasks();
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return running_ == 0; });
  }

 private:
  struct Work {
    Task task;
    void* context;
    std::size_t count;
  };

  static void in_order(std::size_t count, Task task, void* context) noexcept {
    for (std::size_t i = 0; i < count; ++i) task(context, i);
  }

  void take_tasks() noexcept {
    for (std::size_t i = next_++; i < work_.count; i = next_++) work_.task(work_.context, i);
  }

  // Helpers are numbered; a round wakes those below `wanted_`.
  void help(std::size_t number) noexcept {
    std::size_t seen = 0;
    for (std::unique_lock<std::mutex> lock(mutex_);;) {
      wake_.wait(lock, [&] { return round_ != seen; });
      seen = round_;
      if (number >= wanted_) continue;
      lock.unlock();
      take_tasks();
      lock.lock();
      if (--running_ == 0) done_.notify_one();
    }
  }

  void grow(std::size_t helpers) noexcept {
    try {
      for (; helpers_ < helpers; ++helpers_) {
        std::thread([this, number = helpers_] { help(number); }).detach();
      }
    } catch (const std::system_error&) {
      // No more threads: those that there are, do it.
    } catch (const std::bad_alloc&) {
    }
  }

  std::mutex owner_, mutex_;
  std::condition_variable wake_, done_;
  std::atomic<std::size_t> next_{0};
  Work work_{};
  std::size_t helpers_ = 0, wanted_ = 0, running_ = 0, round_ = 0;
};

// Never destroyed: its threads may still sleep in it when the process ends.
ThreadPool* pool() noexcept {
  static ThreadPool* const only = new (std::nothrow) ThreadPool;
  return only;
}

template <std::size_t... I>
constexpr auto counts_of(std::index_sequence<I...>) {
  struct {
    std::size_t values[sizeof...(I)];
  } counts{{I...}};
  return counts;
}

// `Parallel` carries one pointer: it points at the number of threads.
constexpr auto kCounts = counts_of(std::make_index_sequence<kMaxThreads + 1>());

void run(void* threads, std::size_t count, Task task, void* context) noexcept {
  pool()->run(*static_cast<const std::size_t*>(threads), count, task, context);
}

}  // namespace

Parallel process_threads(std::size_t threads) noexcept {
  if (threads <= 1 || pool() == nullptr) return kSerial;
  const std::size_t bounded = threads < kMaxThreads ? threads : kMaxThreads;
  return {run, const_cast<std::size_t*>(&kCounts.values[bounded]), bounded};
}

}  // namespace tritforge
