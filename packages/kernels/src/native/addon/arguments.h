// Checks of what JavaScript passes in. Every check throws a TypeError or RangeError that names the argument; the
// TypeScript fallback throws the same messages.
#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tritforge {

// Largest dimension, so that no product of two dimensions overflows 64 bits.
constexpr double kMaxDimension = 2147483647.0;

// Largest number of values in a result: 1 GiB of int32.
constexpr std::uint64_t kMaxOutputValues = std::uint64_t{1} << 28;

// An integer in [minimum, maximum].
std::size_t integer_argument(const Napi::Value& value, const std::string& name, double minimum, double maximum);

// A positive, finite number that float32 holds.
float scale_argument(const Napi::Value& value, const std::string& name);

// A typed array of exactly this element type and length, copied: JavaScript may detach or resize the buffer while a
// worker thread reads.
std::vector<std::uint8_t> bytes_argument(const Napi::Value& value, const std::string& name, std::uint64_t length);
std::vector<std::int8_t> int8_argument(const Napi::Value& value, const std::string& name, std::uint64_t length);
std::vector<std::int32_t> int32_argument(const Napi::Value& value, const std::string& name, std::uint64_t length);
// Finite values.
std::vector<float> floats_argument(const Napi::Value& value, const std::string& name, std::uint64_t length);
// Positive, finite values.
std::vector<float> scales_argument(const Napi::Value& value, const std::string& name, std::uint64_t length);

}  // namespace tritforge
