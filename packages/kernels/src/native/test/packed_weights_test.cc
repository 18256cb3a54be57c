// Damaged and hostile packed weights: whatever open_packed is given, it refuses, or every kernel can run on what it opened without
// touching a byte outside of its buffers; the sanitizers watch. Usage: packed_weights_test [cases] [seed]; prints the first failure
// and exits with 1.
#include "tritforge/packed_weights.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "test/check.h"
#include "tritforge/convolution.h"
#include "tritforge/gemv.h"

namespace tritforge::test {
namespace {

constexpr Layout kLayouts[] = {Layout::dot8, Layout::dot8t, Layout::table27, Layout::table64, Layout::gemv2, Layout::depthwise};
// Offsets of the header, see packed_weights.h.
constexpr std::size_t kLayoutOffset = 6, kKindOffset = 7, kDimensions = 8, kDimensionCount = 6, kChecksumOffset = 48;
constexpr std::size_t kMostScratchBytes = std::size_t{1} << 28;

std::size_t up_to(Random& random, std::size_t maximum) { return random() % (maximum + 1); }

using Bytes = std::vector<std::uint8_t>;

// A checksum that fits, so that the damage is met by the checks behind it.
void seal(Bytes& block) {
  if (block.size() < kPackHeaderBytes) return;
  std::memset(block.data() + kChecksumOffset, 0, sizeof(std::uint64_t));
  std::uint64_t hash = 0xcbf29ce484222325;
  for (std::size_t i = 0; i + 8 <= block.size(); i += 8) {
    std::uint64_t word;
    std::memcpy(&word, block.data() + i, sizeof word);
    hash = (hash ^ word) * 0x100000001b3;
    hash ^= hash >> 32;
  }
  std::memcpy(block.data() + kChecksumOffset, &hash, sizeof hash);
}

WeightShape random_shape(Random& random, Layout layout) {
  if (layout == Layout::gemv2) return {1 + up_to(random, 80), 1 + up_to(random, 80), 1, 1, 1};
  const std::size_t height = 1 + up_to(random, 4), width = 1 + up_to(random, 3);
  if (layout == Layout::depthwise) {
    const std::size_t channels = 1 + up_to(random, 80);
    return {channels, 1, height, width, channels};
  }
  const std::size_t groups = 1 + up_to(random, 2);
  return {groups * (1 + up_to(random, 40)), 4 * (1 + up_to(random, 8)), height, width, groups};
}

WeightKind random_kind(Random& random, Layout layout) {
  if (layout == Layout::table64) return WeightKind::uniform2;
  if (layout == Layout::dot8t || layout == Layout::table27 || layout == Layout::gemv2) return WeightKind::ternary;
  return static_cast<WeightKind>(random() % 3);
}

// A sound block of the layout; empty if it holds no such weights.
Bytes random_block(Random& random, Layout layout) {
  const OwnedWeights weights =
      random_weights(random, random_kind(random, layout), random_shape(random, layout), 4 * (1 + up_to(random, 15)));
  const std::size_t bytes = packed_bytes(layout, weights.view);
  if (bytes == 0) return {};
  Block block(bytes);
  if (pack_weights(layout, weights.view, block.data()) != Status::ok) return {};
  return Bytes(block.data(), block.data() + bytes);
}

void flip_bits(Random& random, Bytes& block) {
  for (std::size_t i = 1 + up_to(random, 3); i > 0; --i) block[random() % block.size()] ^= static_cast<std::uint8_t>(1u << random() % 8);
}

void overwrite(Random& random, Bytes& block) {
  const std::size_t begin = random() % block.size(), end = std::min(block.size(), begin + 1 + random() % 64);
  for (std::size_t i = begin; i < end; ++i) block[i] = static_cast<std::uint8_t>(random());
}

void resize(Random& random, Bytes& block) {
  block.resize(random() % 2 == 0 ? random() % block.size() : block.size() + 64 * (1 + random() % 3));
}

// Dimensions at which products overflow, or that fit a block of another shape.
void set_dimension(Random& random, Bytes& block) {
  if (block.size() < kPackHeaderBytes) return;
  constexpr std::uint32_t kValues[] = {0, 1, 2, 3, 4, 16, 17, 64, 255, 256, 1024, 1025, 65535, 65536, 1u << 24, (1u << 24) + 1,
                                       0x7fffffff, 0x80000000, 0xffffffff};
  const std::uint32_t value = kValues[random() % (sizeof kValues / sizeof kValues[0])];
  std::memcpy(block.data() + kDimensions + 4 * (random() % kDimensionCount), &value, sizeof value);
}

// Two dimensions exchanged, so that the weights stay as many.
void exchange_dimensions(Random& random, Bytes& block) {
  if (block.size() < kPackHeaderBytes) return;
  std::uint8_t* const a = block.data() + kDimensions + 4 * (random() % kDimensionCount);
  std::uint8_t* const b = block.data() + kDimensions + 4 * (random() % kDimensionCount);
  for (std::size_t i = 0; i < 4; ++i) std::swap(a[i], b[i]);
}

void set_layout(Random& random, Bytes& block) {
  if (block.size() < kPackHeaderBytes) return;
  block[kLayoutOffset] = static_cast<std::uint8_t>(random() % 8);
  if (random() % 2 == 0) block[kKindOffset] = static_cast<std::uint8_t>(random() % 4);
}

// Column sums and weights only.
void damage_content(Random& random, Bytes& block) {
  const std::size_t begin = kPackHeaderBytes + random() % (block.size() - kPackHeaderBytes);
  const std::size_t end = std::min(block.size(), begin + 1 + random() % 8);
  for (std::size_t i = begin; i < end; ++i) block[i] ^= static_cast<std::uint8_t>(1u << random() % 8);
  seal(block);
}

void damage(Random& random, Bytes& block) {
  if (random() % 2 == 0) return damage_content(random, block);
  constexpr void (*kDamages[])(Random&, Bytes&) = {flip_bits, overwrite, resize, set_dimension, exchange_dimensions, set_layout};
  for (std::size_t i = 1 + up_to(random, 1); i > 0 && !block.empty(); --i) kDamages[random() % 6](random, block);
  if (random() % 4 != 0) seal(block);
}

void run_kernel(Random& random, const ConvolutionKernel& kernel, const PackedWeights& packed) {
  const WeightShape& s = packed.shape;
  const ConvolutionGeometry geometry{1, s.kernel_height + 1, s.kernel_width + 2, 1, 1, 1, 1, 1, 1, 0, 1};
  const std::size_t outputs = output_height(geometry, s) * output_width(geometry, s) * s.output_channels;
  const std::size_t scratch_bytes = kernel.scratch_bytes(packed, geometry, 1);
  if (scratch_bytes > kMostScratchBytes) return;
  const std::uint8_t max_code = kernel.layout == Layout::table64 ? 3 : kernel.layout == Layout::table27 ? 15 : 255;
  Block input(geometry.height * geometry.width * s.groups * s.depth), output(4 * outputs), scratch(scratch_bytes);
  for (std::size_t i = 0; i < input.size(); ++i) input.data()[i] = static_cast<std::uint8_t>(random() % (max_code + 1u));
  const OutputStage stage{OutputKind::s32, nullptr, nullptr, 0, 255, {}};
  (void)convolve(kernel, packed, geometry, {input.data(), max_code, max_code}, stage, output.data(), scratch.data(), kSerial);
}

void run_gemv(const DynamicGemv& kernel, const PackedWeights& packed) {
  const std::vector<float> x(2 * packed.shape.depth, 0.5f), scales(packed.shape.output_channels, 1.0f);
  std::vector<float> y(2 * packed.shape.output_channels);
  Block scratch(kernel.scratch_bytes(packed, 2, 1));
  (void)kernel.run(packed, x.data(), 2, scales.data(), nullptr, y.data(), scratch.data(), kSerial);
}

// Returns whether the block was opened; then everything has run on it.
bool use(Random& random, const Bytes& bytes) {
  Block block(bytes.size());
  if (!bytes.empty()) std::memcpy(block.data(), bytes.data(), bytes.size());
  PackedWeights packed{};
  if (open_packed(block.data(), bytes.size(), &packed) != Status::ok) return false;
  const WeightShape& s = packed.shape;
  std::vector<std::int8_t> values(s.output_channels * s.depth * tap_count(s));
  (void)unpack_weights(packed, values.data());
  for (const Isa isa : kAllIsas) {
    const ConvolutionKernel* const kernel = convolution_kernel(packed.layout, isa);
    if (kernel != nullptr) run_kernel(random, *kernel, packed);
    const DynamicGemv* const gemv = packed.layout == Layout::gemv2 ? dynamic_gemv(isa) : nullptr;
    if (gemv != nullptr) run_gemv(*gemv, packed);
  }
  return true;
}

bool fail(const char* what, std::size_t at) {
  std::printf("FAILED at case %zu: %s\n", at, what);
  return false;
}

struct Counts {
  std::size_t opened = 0, refused = 0;
};

bool check_case(Random& random, std::size_t index, Counts* counts) {
  Bytes block = random_block(random, kLayouts[index % 6]);
  if (block.empty()) return true;
  if (!use(random, block)) return fail("a sound block was refused", index);
  Bytes flipped = block;
  flip_bits(random, flipped);
  if (flipped != block && use(random, flipped)) return fail("a flipped bit went unnoticed", index);
  damage(random, block);
  ++(use(random, block) ? counts->opened : counts->refused);
  return true;
}

}  // namespace
}  // namespace tritforge::test

int main(int argc, char** argv) {
  using namespace tritforge::test;
  const std::size_t cases = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1000;
  Random random(argc > 2 ? static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)) : 1);
  Counts counts;
  for (std::size_t i = 0; i < cases; ++i) {
    if (!check_case(random, i, &counts)) return 1;
  }
  std::printf("%zu damaged blocks refused, %zu opened and used\n", counts.refused, counts.opened);
  // Damage behind a new seal that no layout minds, such as another int8 weight, must occur, or nothing ran on it.
  return counts.refused > 0 && counts.opened > 0 ? 0 : 1;
}
