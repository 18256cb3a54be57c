// What a kernel call may answer. Native code never throws across this interface and never aborts.
#pragma once

namespace tritforge {

enum class Status {
  ok,
  invalid_argument,      // a dimension, length or pointer that makes no sense
  invalid_code,          // a packed ternary code is 0b10
  accumulator_overflow,  // some sum could leave int32
  unsupported,           // this layout or kernel cannot do it; another one can
  corrupt_pack,          // packed weights fail their checks
  out_of_memory,
};

// A short sentence in English.
const char* describe(Status status) noexcept;

}  // namespace tritforge
