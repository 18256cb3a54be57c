#include "ort/job_threads.h"

#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace tritforge::ort {
namespace {

// That of a main thread; the default of other threads is half a megabyte on macOS.
constexpr std::size_t kStackBytes = std::size_t{8} << 20;

class Threads {
 public:
  void add(std::shared_ptr<ThreadTask> task) {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
    if (tasks_.size() > idle_ && threads_ < limit_ && !start() && threads_ == 0) {
      tasks_.pop_back();
      throw std::system_error(EAGAIN, std::generic_category(), "no thread can be started");
    }
    added_.notify_one();
  }

 private:
  bool start() {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return false;
    pthread_attr_setstacksize(&attributes, kStackBytes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    const bool started = pthread_create(&thread, &attributes, work, this) == 0;
    pthread_attr_destroy(&attributes);
    if (started) ++threads_;
    return started;
  }

  static void* work(void* threads) {
    static_cast<Threads*>(threads)->take_tasks();
    return nullptr;
  }

  [[noreturn]] void take_tasks() {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      added_.wait(lock, [this] { return !tasks_.empty(); });
      --idle_;
      std::shared_ptr<ThreadTask> task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task->execute();
      task.reset();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable added_;
  std::deque<std::shared_ptr<ThreadTask>> tasks_;
  std::size_t idle_ = 0;
  std::size_t threads_ = 0;
  const std::size_t limit_ = std::max<std::size_t>(4, std::thread::hardware_concurrency());
};

}  // namespace

void run_on_thread(std::shared_ptr<ThreadTask> task) {
  static Threads& threads = *new Threads;  // never destroyed: its threads live as long as the process
  threads.add(std::move(task));
}

void keep_addon_loaded() {
  Dl_info info;
  if (dladdr(reinterpret_cast<const void*>(&keep_addon_loaded), &info) != 0)
    dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
}

}  // namespace tritforge::ort
