// Threads for work that may take long or never end. Not those of libuv: Node waits for its tasks when a worker thread or the
// process ends, before anything could cancel them.
#pragma once

#include <memory>

namespace tritforge::ort {

class ThreadTask {
 public:
  virtual ~ThreadTask() = default;
  virtual void execute() noexcept = 0;
};

// Runs the task on one of at most max(4, number of CPUs) threads of the process, in the order of the calls. Throws
// std::bad_alloc or std::system_error where no thread can be had.
void run_on_thread(std::shared_ptr<ThreadTask> task);

// Keeps the code of this addon in memory for the rest of the process: Node unloads an addon with the last worker thread that
// loaded it, whatever threads still run in it.
void keep_addon_loaded();

}  // namespace tritforge::ort
