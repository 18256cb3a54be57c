// Small helpers of the native tests: buffers without a spare byte (so that the address sanitizer sees every step outside),
// random shapes, and comparison of a kernel with the reference.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>
#include <vector>

#include "tritforge/convolution.h"

namespace tritforge::test {

using Random = std::mt19937;

// Memory aligned to 64 bytes that ends where the last byte ends.
class Block {
 public:
  explicit Block(std::size_t bytes);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  std::uint8_t* data() { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_;
  std::uint8_t* data_;
};

// Weights that own their memory.
struct OwnedWeights {
  std::vector<std::uint8_t> codes, group_codes;
  std::vector<std::int8_t> values;
  Weights view;
};

OwnedWeights random_weights(Random& random, WeightKind kind, const WeightShape& shape, std::size_t group_size);

// One convolution to check: everything but the weights' packing.
struct Case {
  OwnedWeights weights;
  ConvolutionGeometry geometry;
  std::uint8_t zero_point, max_code;
  OutputKind output;
  bool with_bias, with_residual;
  bool overflows = false;  // multipliers so large that scaled sums leave int32
};

// Packs with `layout`, opens, unpacks, runs `kernel` with `threads` tasks at once, and compares every byte with the reference.
// Returns true, or prints what differs.
bool check(const Case& c, const ConvolutionKernel& kernel, Random& random);

}  // namespace tritforge::test
