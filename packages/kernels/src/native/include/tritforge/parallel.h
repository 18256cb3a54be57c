// Threads belong to the caller: a kernel splits its work into tasks and hands them over.
#pragma once

#include <cstddef>

namespace tritforge {

using Task = void (*)(void* context, std::size_t index) noexcept;

struct Parallel {
  // Runs task(context, i) for each i < count, on any threads, and returns when all have ended. Null runs them in order.
  void (*run)(void* pool, std::size_t count, Task task, void* context) noexcept;
  void* pool;
  std::size_t threads;  // that may run at once; 1 if `run` is null
};

inline constexpr Parallel kSerial{nullptr, nullptr, 1};

inline void parallel_for(const Parallel& parallel, std::size_t count, Task task, void* context) noexcept {
  if (parallel.run != nullptr && count > 1) return parallel.run(parallel.pool, count, task, context);
  for (std::size_t i = 0; i < count; ++i) task(context, i);
}

}  // namespace tritforge
