// Every kernel that this CPU can run against the reference, over random shapes around the boundaries of tiles. Usage:
//   convolution_test [cases] [seed] [layout name] ; prints the first failure and exits with 1.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "test/check.h"

namespace tritforge::test {
namespace {

constexpr Layout kLayouts[] = {Layout::dot8, Layout::dot8t, Layout::table27, Layout::table64, Layout::gemv2, Layout::depthwise};
// Sizes around the tiles of all kernels: 4, 6, 16, 32, 64 and blocks of 64 inputs.
constexpr std::size_t kChannels[] = {1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 127, 128, 129, 192, 257};
constexpr std::size_t kExtents[] = {1, 2, 3, 4, 5, 6, 7, 8, 11, 13, 16, 19};
constexpr std::size_t kGroupSizes[] = {4, 5, 8, 16, 32, 64};

template <std::size_t N>
std::size_t pick(Random& random, const std::size_t (&values)[N]) {
  return values[random() % N];
}

std::size_t up_to(Random& random, std::size_t maximum) { return random() % (maximum + 1); }

WeightShape random_shape(Random& random, Layout layout) {
  if (layout == Layout::depthwise) {
    const std::size_t channels = pick(random, kChannels);
    if (random() % 2 == 0) return {channels, 1, 3, 3, channels};
    return {channels, 1, 1 + up_to(random, 8), 1 + up_to(random, 5), channels};
  }
  if (layout == Layout::gemv2 || random() % 3 == 0) return {pick(random, kChannels), pick(random, kChannels), 1, 1, 1};
  const std::size_t groups = random() % 5 == 0 ? 1 + up_to(random, 3) : 1;
  const std::size_t height = 1 + up_to(random, 4), width = random() % 2 == 0 ? height : 1 + up_to(random, 4);
  // Trits lie in whole dwords.
  const std::size_t depth = layout == Layout::dot8t ? 4 * (1 + up_to(random, 32)) : pick(random, kChannels);
  return {groups * pick(random, kChannels), depth, height, width, groups};
}

ConvolutionGeometry random_geometry(Random& random, const WeightShape& shape) {
  if (tap_count(shape) == 1 && random() % 2 == 0) return matrix_geometry(1 + up_to(random, 40));
  ConvolutionGeometry g{1 + up_to(random, 1), pick(random, kExtents), pick(random, kExtents), 1 + up_to(random, 2), 1 + up_to(random, 2),
                        1, 1, 0, 0, 0, 0};
  if (random() % 4 == 0) g.dilation_height = g.dilation_width = 2;
  if (random() % 8 == 0) g.width = 60 + up_to(random, 140);  // rows in several chunks
  g.pad_top = up_to(random, shape.kernel_height - 1);
  g.pad_left = up_to(random, shape.kernel_width - 1);
  g.pad_bottom = up_to(random, shape.kernel_height - 1);
  g.pad_right = up_to(random, shape.kernel_width - 1);
  while (output_height(g, shape) == 0) ++g.height;
  while (output_width(g, shape) == 0) ++g.width;
  return g;
}

WeightKind random_kind(Random& random, Layout layout) {
  if (layout == Layout::table64) return WeightKind::uniform2;
  if (layout == Layout::dot8t || layout == Layout::table27 || layout == Layout::gemv2) return WeightKind::ternary;
  return static_cast<WeightKind>(random() % 3);
}

Case random_case(Random& random, Layout layout) {
  const WeightShape shape = random_shape(random, layout);
  Case c{random_weights(random, random_kind(random, layout), shape, pick(random, kGroupSizes)), random_geometry(random, shape),
         0, 255, static_cast<OutputKind>(random() % 3), random() % 2 == 0, false};
  c.max_code = layout == Layout::table64 ? 3 : layout == Layout::table27 || random() % 4 == 0 ? 15 : 255;
  c.zero_point = static_cast<std::uint8_t>(up_to(random, c.max_code));
  c.with_residual = c.output == OutputKind::u8 && random() % 2 == 0;
  c.overflows = random() % 8 == 0;
  return c;
}

// Comparisons with each instruction set.
using Counts = std::size_t[sizeof kAllIsas / sizeof kAllIsas[0]];

bool check_layout(Layout layout, std::size_t cases, Random& random, Counts& counts) {
  for (std::size_t i = 0; i < cases; ++i) {
    const Case c = random_case(random, layout);
    if (packed_bytes(layout, c.weights.view) == 0) continue;
    for (const Isa isa : kAllIsas) {
      const ConvolutionKernel* kernel = convolution_kernel(layout, isa);
      if (kernel == nullptr) continue;
      if (!check(c, *kernel, random)) return false;
      ++counts[static_cast<int>(isa)];
    }
  }
  return true;
}

}  // namespace
}  // namespace tritforge::test

int main(int argc, char** argv) {
  using namespace tritforge;
  const std::size_t cases = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 300;
  test::Random random(argc > 2 ? static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)) : 1);
  std::size_t checked = 0;
  for (const Layout layout : test::kLayouts) {
    const char* name = convolution_kernel(layout, Isa::scalar)->name;
    if (argc > 3 && std::strncmp(name, argv[3], std::strlen(argv[3])) != 0) continue;
    test::Counts counts{};
    if (!test::check_layout(layout, cases, random, counts)) return 1;
    for (const Isa isa : kAllIsas) {
      const std::size_t count = counts[static_cast<int>(isa)];
      if (count > 0) std::printf("%s: %zu equal\n", convolution_kernel(layout, isa)->name, count);
      checked += count;
    }
  }
  return checked == 0 ? 1 : 0;
}
