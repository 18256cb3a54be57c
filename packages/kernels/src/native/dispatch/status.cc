#include "tritforge/status.h"

namespace tritforge {

const char* describe(Status status) noexcept {
  switch (status) {
    case Status::ok: return "ok";
    case Status::invalid_argument: return "a dimension or a length is out of range";
    case Status::invalid_code: return "the packed ternary codes contain 0b10";
    case Status::accumulator_overflow: return "a sum of products could leave int32";
    case Status::unsupported: return "no kernel supports this combination of weights, layout and instruction set";
    case Status::corrupt_pack: return "the packed weights are damaged";
    case Status::out_of_memory: return "not enough memory";
  }
  return "unknown status";
}

}  // namespace tritforge
