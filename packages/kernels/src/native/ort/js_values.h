// JavaScript's side of sessions: checks of arguments beyond those of addon/arguments.h, and element types as typed arrays.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ort/ort_api.h"
#include "ort/session.h"

namespace tritforge::ort {

// What JavaScript holds of a session.
struct SessionHandle {
  std::shared_ptr<LoadedSession> session;  // null once released
};

inline constexpr napi_type_tag kLibraryTag{0x6a3f2b51c07d4e19, 0x9b1e5d2a84f06c37};
inline constexpr napi_type_tag kSessionTag{0x2f84d19b6c5e4a70, 0xb7c3e0915a2d48f6};

// All throw a TypeError or RangeError that names the argument.
void expect_arguments(const Napi::CallbackInfo& info, std::size_t count);
std::int64_t id_argument(const Napi::Value& value);
std::string text_argument(const Napi::Value& value, const std::string& name);
bool boolean_argument(const Napi::Value& value, const char* name);
Napi::Array list_argument(const Napi::Value& value, const std::string& name);
// Integers from 0 below `count`.
std::vector<std::size_t> indexes_argument(const Napi::Value& value, const std::string& name, std::size_t count);
std::vector<std::int64_t> shape_argument(const Napi::Value& value, const std::string& name);
SessionHandle& session_handle_argument(const Napi::Value& value);
// Of a session that was not released.
std::shared_ptr<LoadedSession> session_argument(const Napi::Value& value);

// An object of ours that JavaScript holds without looking into it.
template <typename T>
T& external_argument(const Napi::Value& value, const char* name, const napi_type_tag& tag) {
  if (!value.IsExternal() || !value.As<Napi::External<T>>().CheckTypeTag(&tag)) {
    throw Napi::TypeError::New(value.Env(), std::string(name) + " is not one of this addon's");
  }
  return *value.As<Napi::External<T>>().Data();
}

// The typed array for elements of a type that can cross.
napi_typedarray_type array_type(ElementType type);

}  // namespace tritforge::ort
