#include "layouts/gemv2.h"

#include <cstring>

#include "dispatch/layouts.h"
#include "gemv/gemv_kernels.h"

namespace tritforge {
namespace {

constexpr std::uint8_t kMaxGroupCode = 127;
constexpr std::uint8_t kFourZeros = 0x55;  // t + 1 of four weights t = 0
constexpr std::uint8_t kLowBits = 0x55;

constexpr std::size_t divided_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }
constexpr std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }

// Where the weights of one output lie in one stream.
template <typename Byte>
struct Stream {
  std::size_t output;
  InputRange inputs;
  unsigned shift;  // of the bit pair
  Byte* first;     // dword of the first step
  std::size_t step_bytes;
  Byte* group_code;

  Byte& byte(std::size_t input) const {
    const std::size_t at = input - inputs.begin;
    return first[at / 4 * step_bytes + at % 4];
  }
};

// Calls visit(stream) for every stream of every output that has inputs.
template <typename Byte, typename Visit>
void for_each_stream(const GemvPlan& plan, Byte* payload, const Visit& visit) {
  for (std::size_t output = 0; output < plan.outputs; ++output) {
    const std::size_t panel = output / kGemvPanel, step_bytes = panel_blocks(plan, panel) * kGemvVectorBytes;
    const std::size_t in_panel = output % kGemvPanel;
    Byte* first =
        payload + panel_offset(plan, panel) + in_panel / kGemvBlock * kGemvVectorBytes + in_panel % kGemvBlock * 4;
    for (std::size_t quad = 0; quad < plan_quads(plan); ++quad) {
      Byte* const codes = first + quad_steps(plan, quad) * step_bytes;
      for (std::size_t stream = 0; stream < kGemvStreams; ++stream) {
        const InputRange inputs = stream_inputs(plan, quad, stream);
        if (inputs.begin == inputs.end) continue;
        visit(Stream<Byte>{output, inputs, static_cast<unsigned>(2 * stream), first, step_bytes, codes + stream});
      }
      first = codes + step_bytes;
    }
  }
}

// Calls visit(bytes, count, are group codes) for the two parts of every quad.
template <typename Byte, typename Visit>
void for_each_part(const GemvPlan& plan, Byte* payload, const Visit& visit) {
  for (std::size_t panel = 0; panel < panel_count(plan); ++panel) {
    const std::size_t step_bytes = panel_blocks(plan, panel) * kGemvVectorBytes;
    for (std::size_t quad = 0; quad < plan_quads(plan); ++quad) {
      const std::size_t bytes = quad_steps(plan, quad) * step_bytes;
      visit(payload, bytes, false);
      visit(payload + bytes, step_bytes, true);
      payload += bytes + step_bytes;
    }
  }
}

std::size_t payload_bytes(WeightKind kind, const WeightShape& shape, std::size_t group_size) noexcept {
  if (kind != WeightKind::ternary || tap_count(shape) != 1 || shape.groups != 1) return 0;
  const GemvPlan plan = gemv_plan(shape, group_size);
  return block_bytes(plan) * block_count(plan);
}

Status pack(const Weights& w, std::uint8_t* payload) noexcept {
  const GemvPlan plan = gemv_plan(w.shape, w.group_size);
  for_each_part(plan, payload, [](std::uint8_t* bytes, std::size_t count, bool are_group_codes) {
    std::memset(bytes, are_group_codes ? 0 : kFourZeros, count);
  });
  const std::size_t groups = group_count(w);
  for_each_stream(plan, payload, [&](const Stream<std::uint8_t>& s) {
    *s.group_code = w.group_codes[s.output * groups + s.inputs.begin / w.group_size];
    for (std::size_t input = s.inputs.begin; input < s.inputs.end; ++input) {
      const std::size_t index = s.output * plan.depth + input;
      const unsigned stored = w.codes[index / 4] >> (index % 4 * 2);  // −1 is 3
      std::uint8_t& byte = s.byte(input);
      byte = static_cast<std::uint8_t>((byte & ~(3u << s.shift)) | ((stored + 1) & 3) << s.shift);
    }
  });
  return Status::ok;
}

void unpack(const PackedWeights& packed, std::int8_t* values) noexcept {
  const GemvPlan plan = gemv_plan(packed.shape, packed.group_size);
  for_each_stream(plan, packed.payload, [&](const Stream<const std::uint8_t>& s) {
    for (std::size_t input = s.inputs.begin; input < s.inputs.end; ++input) {
      const int trit = (s.byte(input) >> s.shift & 3) - 1;
      values[s.output * plan.depth + input] = static_cast<std::int8_t>(trit * *s.group_code);
    }
  });
}

bool valid(const PackedWeights& packed) noexcept {
  bool is_valid = true;
  const GemvPlan plan = gemv_plan(packed.shape, packed.group_size);
  for_each_part(plan, packed.payload, [&](const std::uint8_t* bytes, std::size_t count, bool are_group_codes) {
    std::uint8_t seen = 0;
    for (std::size_t i = 0; i < count; ++i) {
      seen |= are_group_codes ? bytes[i] : static_cast<std::uint8_t>(bytes[i] & bytes[i] >> 1 & kLowBits);
    }
    is_valid = is_valid && seen <= (are_group_codes ? kMaxGroupCode : 0);
  });
  return is_valid;
}

}  // namespace

GemvPlan gemv_plan(const WeightShape& shape, std::size_t group_size) noexcept {
  GemvPlan plan{};
  plan.depth = shape.depth;
  plan.outputs = shape.output_channels;
  plan.group = smaller(group_size, shape.depth);
  plan.segments_per_group = divided_up(plan.group, kGemvMaxSegment);
  plan.segment = divided_up(plan.group, plan.segments_per_group);
  plan.segments = plan.depth / plan.group * plan.segments_per_group + divided_up(plan.depth % plan.group, plan.segment);
  plan.main = {plan.segments / kGemvStreams, divided_up(plan.segment, 4)};
  plan.tail = {plan.segments % kGemvStreams, divided_up(plan.segment, 4 * kGemvStreams)};
  if (plan.tail.quads * (plan.tail.steps + 1) > plan.main.steps + 1) {
    ++plan.main.quads;
    plan.tail.quads = 0;
  }
  return plan;
}

InputRange stream_inputs(const GemvPlan& plan, std::size_t quad, std::size_t stream) noexcept {
  const bool in_tail = quad >= plan.main.quads;
  const std::size_t segment =
      in_tail ? plan.main.quads * kGemvStreams + quad - plan.main.quads : quad * kGemvStreams + stream;
  if (segment >= plan.segments) return {plan.depth, plan.depth};
  const std::size_t group = segment / plan.segments_per_group * plan.group;
  const std::size_t begin = group + segment % plan.segments_per_group * plan.segment;
  const std::size_t end = smaller(smaller(begin + plan.segment, group + plan.group), plan.depth);
  if (!in_tail) return {begin, end};
  const std::size_t piece = 4 * plan.tail.steps;
  return {smaller(begin + stream * piece, end), smaller(begin + (stream + 1) * piece, end)};
}

const LayoutFunctions kGemv2Layout{payload_bytes, pack, unpack, valid};

const ConvolutionKernel* gemv2_kernel(Isa isa) noexcept { return gemv_convolution(isa); }

}  // namespace tritforge
