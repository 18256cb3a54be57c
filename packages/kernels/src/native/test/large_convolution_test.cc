// Convolutions beyond the sizes of convolution_test: work cut into blocks of pixels, passes over the depth and zones of several
// images; pads and dilations as large as the image. Every layout that can hold the weights, on every instruction set. Usage:
//   large_convolution_test [seed] ; prints the first failure and exits with 1.
#include <cstdio>
#include <cstdlib>

#include "test/check.h"

namespace tritforge::test {
namespace {

constexpr Layout kLayouts[] = {Layout::dot8, Layout::dot8t, Layout::table27, Layout::table64, Layout::gemv2, Layout::depthwise};

struct Large {
  WeightShape shape;              // outputs, depth, kernel height and width, groups
  ConvolutionGeometry geometry;   // batch, height, width, strides, dilations, pads: top, left, bottom, right
};

constexpr Large kCases[] = {
    {{20, 8, 1, 1, 1}, matrix_geometry(5000)},                        // blocks of pixels
    {{17, 12292, 1, 1, 1}, matrix_geometry(7)},                       // passes
    {{3, 8199, 1, 1, 1}, matrix_geometry(5)},                         // passes, the last dword half empty
    {{6, 4, 3, 3, 1}, {1, 90, 80, 1, 1, 1, 1, 1, 1, 1, 1}},           // blocks and zones
    {{70, 8, 3, 3, 1}, {9, 7, 7, 1, 1, 1, 1, 1, 1, 1, 1}},            // zones over images
    {{5, 12, 3, 3, 1}, {40, 7, 9, 2, 2, 1, 1, 1, 1, 1, 1}},           // blocks of several images
    {{8, 3, 7, 7, 1}, {1, 260, 270, 2, 2, 1, 1, 3, 3, 3, 3}},         // copies of several blocks
    {{4, 3, 3, 3, 1}, {3, 150, 140, 1, 1, 2, 2, 2, 2, 2, 2}},         // gathered
    {{12, 4, 3, 3, 3}, {2, 60, 50, 1, 1, 1, 1, 1, 1, 1, 1}},          // groups and blocks
    {{33, 16, 3, 3, 1}, {2, 5, 5, 1, 1, 6, 6, 6, 6, 6, 6}},           // only the middle tap is ever inside
    {{9, 8, 1, 1, 1}, {1, 6, 6, 1, 1, 1, 1, 4, 3, 2, 1}},             // windows that see nothing
    {{9, 8, 2, 2, 1}, {1, 3, 3, 3, 3, 1, 1, 7, 8, 5, 6}},             // pads larger than kernel and image
    {{31, 32, 1, 9, 1}, {1, 3, 40, 1, 1, 1, 1, 0, 4, 0, 4}},          // more zones than are kept apart
    {{64, 1, 3, 3, 64}, {2, 60, 70, 1, 1, 1, 1, 1, 1, 1, 1}},         // depthwise
};

Case make_case(Random& random, const Large& large, Layout layout) {
  const WeightKind kind = layout == Layout::table64 ? WeightKind::uniform2
                          : layout == Layout::dot8 || layout == Layout::depthwise ? WeightKind::int8
                                                                                  : WeightKind::ternary;
  Case c{random_weights(random, kind, large.shape, 16), large.geometry, 0, 255, OutputKind::u8, true, random() % 2 == 0};
  c.max_code = layout == Layout::table64 ? 3 : layout == Layout::table27 ? 15 : 255;
  c.zero_point = static_cast<std::uint8_t>(random() % 2 == 0 ? 0 : random() % (c.max_code + 1u));
  return c;
}

bool check_layout(Layout layout, Random& random, std::size_t* checked) {
  for (const Large& large : kCases) {
    const Case c = make_case(random, large, layout);
    for (const Isa isa : kAllIsas) {
      const ConvolutionKernel* kernel = convolution_kernel(layout, isa);
      if (kernel == nullptr || isa == Isa::scalar) continue;
      if (!check(c, *kernel, random)) return false;
      ++*checked;
    }
  }
  return true;
}

}  // namespace
}  // namespace tritforge::test

int main(int argc, char** argv) {
  using namespace tritforge;
  test::Random random(argc > 1 ? static_cast<unsigned>(std::strtoul(argv[1], nullptr, 10)) : 1);
  for (const Layout layout : test::kLayouts) {
    std::size_t checked = 0;
    if (!test::check_layout(layout, random, &checked)) return 1;
    std::printf("%s: %zu comparisons\n", convolution_kernel(layout, Isa::scalar)->name, checked);
  }
  return 0;
}
