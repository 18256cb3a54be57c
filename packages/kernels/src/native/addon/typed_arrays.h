// Results for JavaScript.
#pragma once

#include <napi.h>

#include <algorithm>
#include <vector>

namespace tritforge {

template <typename Array, typename T>
Napi::Value to_javascript(Napi::Env env, const std::vector<T>& values) {
  Array array = Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

}  // namespace tritforge
