#include "layouts/table64.h"

#include "dispatch/layouts.h"

namespace tritforge {
namespace table64 {

Plan plan_of(const WeightShape& shape) noexcept {
  Plan plan{};
  plan.panels = (shape.output_channels + kPanelOutputs - 1) / kPanelOutputs;
  plan.halves = (shape.output_channels + kHalfOutputs - 1) / kHalfOutputs;
  plan.taps = tap_count(shape);
  const std::size_t rest = shape.depth % kUnitInputs;
  plan.has_tail = rest >= 1 && rest <= 48;
  plan.tail_kind = rest <= 16 ? kTail16 : rest <= 32 ? kTail32 : kTail48;
  plan.full_units = shape.depth / kUnitInputs + (rest > 48 ? 1 : 0);
  plan.block_units = plan.taps == 1 ? kPointwiseBlockUnits : 1;
  return plan;
}

Block block_of(const Plan& plan, std::size_t index) noexcept {
  const bool is_tail = index == plan.full_blocks();
  const std::size_t first = is_tail ? plan.full_units : index * plan.block_units, left = plan.full_units - first;
  Block block{};
  block.kind = is_tail ? plan.tail_kind : kFull;
  block.units = is_tail ? 1 : left < plan.block_units ? left : plan.block_units;
  block.first_input = first * kUnitInputs;
  block.offset = plan.panels * kPanelOutputs * sizeof(std::int32_t) + first * plan.halves * plan.taps * table_bytes(kFull);
  block.panel_bytes = 2 * block.units * plan.taps * table_bytes(block.kind);
  return block;
}

void fill_addends(const std::int8_t* levels, std::uint8_t* addends) noexcept {
  for (int q = 0; q < 4; ++q) {
    for (int a = 0; a <= kMaxCode; ++a) {
      const int level = levels[q];
      addends[4 * q + a] = static_cast<std::uint8_t>(level >= 0 ? level * a : -level * (kMaxCode - a));
    }
  }
}

}  // namespace table64

namespace {

using namespace table64;

// One index byte of the payload: three inputs from `first` on, of which the unit has `inputs`.
struct IndexPlace {
  std::size_t byte, output, tap, first, inputs;
};

// Calls visit(IndexPlace) for all indices.
template <typename Visit>
void for_each_index(const Plan& plan, const Visit& visit) {
  for (std::size_t b = 0; b < plan.blocks(); ++b) {
    const Block block = block_of(plan, b);
    const std::size_t unit_inputs = static_cast<std::size_t>(kInputs[block.kind]);
    std::size_t byte = block.offset;
    for (std::size_t panel = 0; panel < plan.panels; ++panel) {
      const std::size_t halves = plan.halves - 2 * panel < 2 ? 1 : 2;
      for (std::size_t unit = 0; unit < block.units; ++unit) {
        for (std::size_t tap = 0; tap < plan.taps; ++tap) {
          for (std::size_t input = 0; input < unit_inputs; input += 3) {
            const std::size_t inputs = unit_inputs - input < 3 ? unit_inputs - input : 3;
            for (std::size_t i = 0; i < halves * kHalfOutputs; ++i, ++byte) {
              const std::size_t output = panel * kPanelOutputs + i / 64 * 64 + i % 4 * 16 + i % 64 / 4;
              visit(IndexPlace{byte, output, tap, block.first_input + unit * kUnitInputs + input, inputs});
            }
          }
        }
      }
    }
  }
}

std::size_t payload_bytes(WeightKind kind, const WeightShape& shape, std::size_t) noexcept {
  if (kind != WeightKind::uniform2 || shape.groups != 1) return 0;
  const Plan plan = plan_of(shape);
  const std::size_t vectors = plan.full_units * table_bytes(kFull) + (plan.has_tail ? table_bytes(plan.tail_kind) : 0);
  return plan.panels * kPanelOutputs * sizeof(std::int32_t) + vectors * plan.halves * plan.taps;
}

Status pack(const Weights& w, std::uint8_t* payload) noexcept {
  auto* offsets = reinterpret_cast<std::int32_t*>(payload);
  const auto negative_part = [&](int q) { return w.levels[q] < 0 ? -w.levels[q] * kMaxCode : 0; };
  for_each_index(plan_of(w.shape), [&](const IndexPlace& at) {
    int index = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::size_t ic = at.first + i;
      int q = kSpareWeight;
      if (at.output < w.shape.output_channels && i < at.inputs && ic < w.shape.depth) {
        const std::size_t code = (at.output * w.shape.depth + ic) * tap_count(w.shape) + at.tap;
        q = w.codes[code / 4] >> (code % 4 * 2) & 3;
      }
      index = index * 4 + q;
      // A spare input is code 0, for which u is this too.
      offsets[at.output] += negative_part(q);
    }
    payload[at.byte] = static_cast<std::uint8_t>(index);
  });
  return Status::ok;
}

void unpack(const PackedWeights& packed, std::int8_t* values) noexcept {
  const WeightShape& s = packed.shape;
  for_each_index(plan_of(s), [&](const IndexPlace& at) {
    if (at.output >= s.output_channels) return;
    for (std::size_t i = 0; i < at.inputs && at.first + i < s.depth; ++i) {
      const int q = packed.payload[at.byte] >> (4 - 2 * i) & 3;
      values[(at.output * s.depth + at.first + i) * tap_count(s) + at.tap] = packed.levels[q];
    }
  });
}

bool valid(const PackedWeights& packed) noexcept {
  bool is_valid = true;
  for_each_index(plan_of(packed.shape), [&](const IndexPlace& at) { is_valid &= packed.payload[at.byte] < 64; });
  return is_valid;
}

}  // namespace

const LayoutFunctions kTable64Layout{payload_bytes, pack, unpack, valid};

}  // namespace tritforge
