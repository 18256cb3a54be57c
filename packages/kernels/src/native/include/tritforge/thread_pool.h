// A small pool of threads for callers that have none of their own.
#pragma once

#include <cstddef>

#include "tritforge/parallel.h"

namespace tritforge {

// The pool of this process. Its threads are started when first needed, sleep between calls and end with the process. One caller
// uses it at a time; another that comes meanwhile, or a machine that gives no threads, computes on its own thread: the result is
// the same.
Parallel process_threads(std::size_t threads) noexcept;

// What process_threads accepts at most.
inline constexpr std::size_t kMaxThreads = 256;

}  // namespace tritforge
