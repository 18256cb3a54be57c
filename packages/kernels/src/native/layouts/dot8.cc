#include "layouts/dot8.h"

#include <memory>
#include <new>

#include "dispatch/layouts.h"

namespace tritforge {
namespace {

// Calls visit(position in the payload, index in [OC, depth, kH, kW]) for every weight.
template <class Visit>
void for_each_weight(const WeightShape& s, Visit visit) {
  std::size_t index = 0;
  for (std::size_t oc = 0; oc < s.output_channels; ++oc) {
    for (std::size_t ic = 0; ic < s.depth; ++ic) {
      for (std::size_t ky = 0; ky < s.kernel_height; ++ky) {
        for (std::size_t kx = 0; kx < s.kernel_width; ++kx) visit(dot8_position(s, oc, ic, ky, kx), index++);
      }
    }
  }
}

std::size_t payload_bytes(WeightKind, const WeightShape& s, std::size_t) noexcept {
  const std::size_t sums = dot8_has_tap_sums(s) ? tap_count(s) * dot8_padded_outputs(s) * sizeof(std::int32_t) : 0;
  return dot8_strips_bytes(s) + sums;
}

// Adds up what `values` [OC, depth, kH, kW] has at each tap.
void sum_taps(const WeightShape& s, const std::int8_t* values, std::int32_t* sums) {
  const std::size_t taps = tap_count(s), padded = dot8_padded_outputs(s);
  for (std::size_t oc = 0; oc < s.output_channels; ++oc) {
    const std::size_t group = oc / dot8_group_outputs(s);
    std::int32_t* const output = sums + group * dot8_strips(s) * kDot8StripOutputs + oc % dot8_group_outputs(s);
    for (std::size_t ic = 0; ic < s.depth; ++ic) {
      for (std::size_t tap = 0; tap < taps; ++tap) output[tap * padded] += *values++;
    }
  }
}

// The block is zero where nothing is written.
Status pack(const Weights& weights, std::uint8_t* payload) noexcept {
  const WeightShape& s = weights.shape;
  const std::size_t count = s.output_channels * s.depth * tap_count(s);
  const std::unique_ptr<std::int8_t[]> values(new (std::nothrow) std::int8_t[count]);
  if (!values) return Status::out_of_memory;
  if (const Status status = decode_weights(weights, values.get()); status != Status::ok) return status;
  for_each_weight(s, [&](std::size_t position, std::size_t index) {
    payload[position] = static_cast<std::uint8_t>(values[index]);
  });
  if (dot8_has_tap_sums(s)) sum_taps(s, values.get(), reinterpret_cast<std::int32_t*>(payload + dot8_strips_bytes(s)));
  return Status::ok;
}

void unpack(const PackedWeights& packed, std::int8_t* values) noexcept {
  for_each_weight(packed.shape, [&](std::size_t position, std::size_t index) {
    values[index] = static_cast<std::int8_t>(packed.payload[position]);
  });
}

// Any int8 is a weight.
bool valid(const PackedWeights&) noexcept { return true; }

}  // namespace

const LayoutFunctions kDot8Layout{payload_bytes, pack, unpack, valid};

}  // namespace tritforge
