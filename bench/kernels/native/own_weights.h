// Random weights of each kind, packed for a layout.
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer.h"
#include "tritforge/packed_weights.h"

namespace bench {

// Weights as models store them, with the memory that they point to.
struct OwnedWeights {
  tritforge::Weights weights;
  Buffer<std::uint8_t> codes, group_codes;
  Buffer<std::int8_t> values;
};

OwnedWeights random_ternary(const tritforge::WeightShape& shape, std::size_t group_size);
OwnedWeights random_int8(const tritforge::WeightShape& shape);
OwnedWeights random_uniform2(const tritforge::WeightShape& shape);

// The int8 weights [OC, depth, kH, kW] that they stand for.
Buffer<std::int8_t> decoded(const OwnedWeights& weights);

struct OwnedPack {
  tritforge::PackedWeights packed;
  Buffer<std::uint8_t> block;
};

// Throws std::runtime_error when the layout cannot hold them.
OwnedPack pack(tritforge::Layout layout, const OwnedWeights& weights);

// Throws std::runtime_error for anything but ok.
void check(tritforge::Status status);

}  // namespace bench
