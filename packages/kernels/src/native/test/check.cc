#include "test/check.h"

#include <cstdio>
#include <cstring>
#include <thread>

#include "tritforge/reference_convolution.h"

namespace tritforge::test {
namespace {

constexpr std::size_t kAlignment = 64;

std::vector<std::uint8_t> random_bytes(Random& random, std::size_t count, unsigned maximum) {
  std::vector<std::uint8_t> bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random() % (maximum + 1));
  return bytes;
}

float random_scale(Random& random) { return std::uniform_real_distribution<float>(0.001f, 0.1f)(random); }

float random_large_scale(Random& random) { return std::uniform_real_distribution<float>(-1e7f, 1e7f)(random); }

std::size_t element_bytes(OutputKind kind) { return kind == OutputKind::u8 ? 1 : 4; }

// Two threads that take tasks in turn; enough to show what is shared by mistake.
void run_on_two_threads(void*, std::size_t count, Task task, void* context) noexcept {
  std::thread other([&] {
    for (std::size_t i = 1; i < count; i += 2) task(context, i);
  });
  for (std::size_t i = 0; i < count; i += 2) task(context, i);
  other.join();
}

const char* kind_name(OutputKind kind) { return kind == OutputKind::u8 ? "u8" : kind == OutputKind::f32 ? "f32" : "s32"; }

void describe_case(const Case& c, const ConvolutionKernel& kernel) {
  const WeightShape& s = c.weights.view.shape;
  const ConvolutionGeometry& g = c.geometry;
  std::printf("%s: kind %d, OC %zu depth %zu kernel %zux%zu groups %zu N %zu | image %zux%zux%zu stride %zux%zu dilation %zux%zu pads "
              "%zu,%zu,%zu,%zu | zero point %d, codes to %d, %s%s%s%s\n",
              kernel.name, static_cast<int>(c.weights.view.kind), s.output_channels, s.depth, s.kernel_height, s.kernel_width,
              s.groups, c.weights.view.group_size, g.batch, g.height, g.width, g.stride_height, g.stride_width,
              g.dilation_height, g.dilation_width, g.pad_top, g.pad_left, g.pad_bottom, g.pad_right, c.zero_point, c.max_code,
              kind_name(c.output), c.with_bias ? ", bias" : "", c.with_residual ? ", residual" : "",
              c.overflows ? ", large multipliers" : "");
}

bool fail(const Case& c, const ConvolutionKernel& kernel, const char* what) {
  std::printf("FAILED %s\n  ", what);
  describe_case(c, kernel);
  return false;
}

bool unpacks_to(const PackedWeights& packed, const std::vector<std::int8_t>& values) {
  std::vector<std::int8_t> unpacked(values.size());
  return unpack_weights(packed, unpacked.data()) == Status::ok && unpacked == values;
}

}  // namespace

Block::Block(std::size_t bytes) : size_(bytes) {
  // aligned_alloc wants a multiple of the alignment; the sanitizer checks the end, so the block starts where it ends aligned only
  // if the size allows, else at the alignment.
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, bytes == 0 ? 1 : bytes) != 0) std::abort();
  data_ = static_cast<std::uint8_t*>(memory);
  std::memset(data_, 0xa5, bytes);
}

Block::~Block() { std::free(data_); }

OwnedWeights random_weights(Random& random, WeightKind kind, const WeightShape& shape, std::size_t group_size) {
  OwnedWeights w;
  const std::size_t count = shape.output_channels * shape.depth * tap_count(shape);
  if (kind == WeightKind::int8) {
    w.values.resize(count);
    for (auto& value : w.values) value = static_cast<std::int8_t>(random());
  } else {
    w.codes.resize((count + 3) / 4);
    constexpr std::uint8_t kTrits[] = {0, 1, 3};
    for (std::size_t i = 0; i < count; ++i) {
      const unsigned code = kind == WeightKind::ternary ? kTrits[random() % 3] : random() % 4;
      w.codes[i / 4] = static_cast<std::uint8_t>(w.codes[i / 4] | code << (i % 4 * 2));
    }
  }
  w.view = {kind, shape, nullptr, nullptr, nullptr, group_size, {-2, -1, 0, 1}};
  if (kind == WeightKind::uniform2 && random() % 2 == 0) {
    constexpr std::int8_t kOdd[] = {-3, -1, 1, 3};
    std::memcpy(w.view.levels, kOdd, sizeof kOdd);
  }
  if (kind == WeightKind::ternary) {
    const std::size_t codes = shape.output_channels * group_count(w.view) * tap_count(shape);
    w.group_codes = random_bytes(random, codes, random() % 4 == 0 ? 127 : 64);
  }
  w.view.codes = w.codes.data();
  w.view.values = w.values.data();
  w.view.group_codes = w.group_codes.data();
  return w;
}

bool check(const Case& c, const ConvolutionKernel& kernel, Random& random) {
  const Weights& weights = c.weights.view;
  const WeightShape& s = weights.shape;
  std::vector<std::int8_t> values(s.output_channels * s.depth * tap_count(s));
  if (decode_weights(weights, values.data()) != Status::ok) return fail(c, kernel, "decoding");

  Block block(packed_bytes(kernel.layout, weights));
  if (block.size() == 0) return true;  // the layout cannot hold them
  const Status packing = pack_weights(kernel.layout, weights, block.data());
  if (packing == Status::accumulator_overflow) return true;
  PackedWeights packed{};
  if (packing != Status::ok || open_packed(block.data(), block.size(), &packed) != Status::ok) return fail(c, kernel, "packing");
  if (!unpacks_to(packed, values)) return fail(c, kernel, "unpacking");

  const std::size_t channels = s.groups * s.depth, pixels = c.geometry.batch * c.geometry.height * c.geometry.width;
  const std::size_t outputs =
      c.geometry.batch * output_height(c.geometry, s) * output_width(c.geometry, s) * s.output_channels;
  const std::vector<std::uint8_t> noise = random_bytes(random, pixels * channels, c.max_code);
  Block input(noise.size());
  std::memcpy(input.data(), noise.data(), noise.size());
  std::vector<std::int32_t> bias(s.output_channels);
  for (auto& value : bias) value = static_cast<std::int32_t>(random() % 20001) - 10000;
  std::vector<float> multiplier(s.output_channels);
  for (auto& value : multiplier) value = c.overflows ? random_large_scale(random) : random_scale(random);
  const std::vector<std::uint8_t> residual = random_bytes(random, outputs, 255);
  OutputStage stage{c.output, c.with_bias ? bias.data() : nullptr, multiplier.data(), static_cast<std::uint8_t>(random()),
                    random() % 2 == 0 ? std::uint8_t{255} : std::uint8_t{15}, {}};
  if (c.with_residual) {
    stage.residual = {residual.data(), random_scale(random), static_cast<std::uint8_t>(random()), random_scale(random),
                      static_cast<std::uint8_t>(random()), random_scale(random)};
  }
  const ConvolutionInput in{input.data(), c.zero_point, c.max_code};

  Block expected(outputs * element_bytes(c.output)), actual(outputs * element_bytes(c.output));
  convolve__reference(s, values.data(), c.geometry, in, stage, expected.data());
  const bool threaded = random() % 4 == 0;
  const Parallel parallel = threaded ? Parallel{run_on_two_threads, nullptr, 2} : kSerial;
  Block scratch(kernel.scratch_bytes(packed, c.geometry, parallel.threads));
  const Status status = convolve(kernel, packed, c.geometry, in, stage, actual.data(), scratch.data(), parallel);
  if (status != Status::ok) return fail(c, kernel, describe(status));
  if (std::memcmp(expected.data(), actual.data(), expected.size()) == 0) return true;
  std::size_t at = 0;
  while (expected.data()[at] == actual.data()[at]) ++at;
  at /= element_bytes(c.output);
  std::printf("  first difference at output %zu (pixel %zu, channel %zu)\n", at, at / s.output_channels, at % s.output_channels);
  return fail(c, kernel, "a result");
}

}  // namespace tritforge::test
