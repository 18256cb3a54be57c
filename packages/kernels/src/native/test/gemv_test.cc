// Every dynamically quantizing product that this CPU can run against its reference, bit for bit, over random shapes and
// over rows that make quantization hard. Usage: gemv_test [cases] [seed]; prints the first failure and exits with 1.
#include "tritforge/gemv.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "test/check.h"

namespace tritforge::test {
namespace {

constexpr std::size_t kSizes[] = {1, 2, 3, 4, 7, 15, 16, 17, 31, 48, 63, 64, 65, 80, 128, 130, 192, 255, 256, 320, 515};
constexpr std::size_t kGroupSizes[] = {1, 3, 4, 5, 7, 8, 12, 16, 20, 32, 33, 48, 64, 65, 100, 128, 1000};
constexpr std::size_t kMaxRows = 17;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

template <std::size_t N>
std::size_t pick(Random& random, const std::size_t (&values)[N]) {
  return values[random() % N];
}

enum class RowKind { noise, ties, zeros, tiny, huge, infinite, nan, count };

// One activation. Ties are halves of a scale that is exact: the first value makes it so.
float activation(Random& random, RowKind kind, std::size_t k) {
  const float noise = std::uniform_real_distribution<float>(-1.0f, 1.0f)(random);
  switch (kind) {
    case RowKind::noise:
      return 3.0f * noise;
    case RowKind::ties:
      return k == 0 ? 127.0f * 0.25f : (static_cast<float>(random() % 254) - 126.5f) * 0.25f;
    case RowKind::zeros:
      return random() % 2 == 0 ? 0.0f : -0.0f;
    case RowKind::tiny:
      return std::ldexp(std::round(200.0f * noise), -149);
    case RowKind::huge:
      return std::numeric_limits<float>::max() * noise;
    case RowKind::infinite:
      return random() % 3 == 0 ? -kInfinity : noise;
    case RowKind::nan:
      return random() % 3 == 0 ? -kNan : noise;
    case RowKind::count:
      break;
  }
  return 0.0f;
}

struct Product {
  OwnedWeights weights;
  std::size_t rows;
  std::vector<float> x, channel_scales, bias;
};

Product random_product(Random& random) {
  const WeightShape shape{pick(random, kSizes), pick(random, kSizes), 1, 1, 1};
  Product p{random_weights(random, WeightKind::ternary, shape, pick(random, kGroupSizes)),
            1 + random() % kMaxRows,
            {},
            {},
            {}};
  for (std::size_t m = 0; m < p.rows; ++m) {
    const auto kind =
        random() % 2 == 0 ? RowKind::noise : static_cast<RowKind>(random() % static_cast<int>(RowKind::count));
    for (std::size_t k = 0; k < shape.depth; ++k) p.x.push_back(activation(random, kind, k));
  }
  std::uniform_real_distribution<float> scale(0.001f, 0.1f);
  for (std::size_t n = 0; n < shape.output_channels; ++n) p.channel_scales.push_back(scale(random));
  if (random() % 2 == 0) {
    for (std::size_t n = 0; n < shape.output_channels; ++n) p.bias.push_back(100.0f * scale(random) - 5.0f);
  }
  return p;
}

void run_backwards(void*, std::size_t count, Task task, void* context) noexcept {
  for (std::size_t i = count; i-- > 0;) task(context, i);
}

bool same(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0 || (std::isnan(a) && std::isnan(b)); }

bool fail(const Product& p, const DynamicGemv& kernel, const char* what) {
  const WeightShape& s = p.weights.view.shape;
  std::printf("FAILED %s: %s, OC %zu depth %zu N %zu rows %zu%s\n", kernel.name, what, s.output_channels, s.depth,
              p.weights.view.group_size, p.rows, p.bias.empty() ? "" : ", bias");
  return false;
}

bool check(const Product& p, const DynamicGemv& kernel, Random& random) {
  const Weights& w = p.weights.view;
  const std::size_t outputs = w.shape.output_channels, depth = w.shape.depth;
  const float* bias = p.bias.empty() ? nullptr : p.bias.data();
  std::vector<std::int8_t> values(outputs * depth), q(depth);
  std::vector<float> expected(p.rows * outputs);
  if (decode_weights(w, values.data()) != Status::ok) return fail(p, kernel, "decoding");
  dynamic_gemv__reference(w.shape, values.data(), p.x.data(), p.rows, p.channel_scales.data(), bias, q.data(),
                          expected.data());

  Block block(packed_bytes(Layout::gemv2, w)), x(p.x.size() * sizeof(float)), y(expected.size() * sizeof(float));
  PackedWeights packed{};
  if (pack_weights(Layout::gemv2, w, block.data()) != Status::ok) return fail(p, kernel, "packing");
  if (open_packed(block.data(), block.size(), &packed) != Status::ok) return fail(p, kernel, "opening");
  std::memcpy(x.data(), p.x.data(), x.size());
  const Parallel parallel = random() % 2 == 0 ? Parallel{run_backwards, nullptr, 3} : kSerial;
  Block scratch(kernel.scratch_bytes(packed, p.rows, parallel.threads));
  auto* actual = reinterpret_cast<float*>(y.data());
  const Status status = kernel.run(packed, reinterpret_cast<const float*>(x.data()), p.rows, p.channel_scales.data(),
                                   bias, actual, scratch.data(), parallel);
  if (status != Status::ok) return fail(p, kernel, describe(status));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (same(expected[i], actual[i])) continue;
    std::printf("  row %zu, output %zu: %.9g instead of %.9g\n", i / outputs, i % outputs, actual[i], expected[i]);
    return fail(p, kernel, "a result");
  }
  return true;
}

// A large product, so that threads share it.
Product large_product(Random& random) {
  Product p{random_weights(random, WeightKind::ternary, {1000, 1100, 1, 1, 1}, 64), 5, {}, {}, {}};
  for (std::size_t i = 0; i < p.rows * 1100; ++i) p.x.push_back(activation(random, RowKind::noise, i));
  p.channel_scales.assign(1000, 0.01f);
  return p;
}

bool check_everywhere(const Product& p, Random& random, std::size_t* checked) {
  for (const Isa isa : kAllIsas) {
    const DynamicGemv* kernel = dynamic_gemv(isa);
    if (kernel == nullptr) continue;
    if (!check(p, *kernel, random)) return false;
    ++*checked;
  }
  return true;
}

}  // namespace
}  // namespace tritforge::test

int main(int argc, char** argv) {
  using namespace tritforge::test;
  const std::size_t cases = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 300;
  Random random(argc > 2 ? static_cast<unsigned>(std::strtoul(argv[2], nullptr, 10)) : 1);
  std::size_t checked = 0;
  for (std::size_t i = 0; i < cases; ++i) {
    if (!check_everywhere(random_product(random), random, &checked)) return 1;
  }
  for (int i = 0; i < 3; ++i) {
    if (!check_everywhere(large_product(random), random, &checked)) return 1;
  }
  std::printf("%zu comparisons\n", checked);
  return checked == 0 ? 1 : 0;
}
