// Failures of ONNX Runtime as exceptions inside of our own code, and back at its border.
#pragma once

#include <memory>
#include <new>
#include <stdexcept>
#include <string>

#include "ort/ort_api.h"

namespace tritforge::ort {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Throws a Failure with what ONNX Runtime said.
inline void check(const Api& api, Status* status) {
  if (status == nullptr) return;
  const std::string message = api(kGetErrorMessage, status);
  api(kReleaseStatus, status);
  throw Failure(message);
}

// Runs `work` for a callback of ONNX Runtime, through which nothing may be thrown.
template <typename Work>
Status* guarded(const Api& api, Work&& work) noexcept {
  try {
    work();
    return nullptr;
  } catch (const Failure& failure) {
    return api(kCreateStatus, ErrorCode::invalid_argument, failure.what());
  } catch (const std::bad_alloc&) {
    return api(kCreateStatus, ErrorCode::fail, "not enough memory");
  } catch (const std::exception& error) {
    return api(kCreateStatus, ErrorCode::fail, error.what());
  }
}

template <typename T>
struct Release {
  Api api;
  Function<void(T*)> function;
  void operator()(T* object) const { api(function, object); }
};

// An object that a function of the table gave us.
template <typename T>
using Owned = std::unique_ptr<T, Release<T>>;

// Calls `create(arguments…, &object)` and takes what it made.
template <typename T, typename... Parameters, typename... Arguments>
Owned<T> made(const Api& api, Function<void(T*)> release, Function<Status*(Parameters...)> create,
              Arguments... arguments) {
  T* object = nullptr;
  check(api, api(create, arguments..., &object));
  return Owned<T>(object, {api, release});
}

}  // namespace tritforge::ort
