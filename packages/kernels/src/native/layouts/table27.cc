#include "layouts/table27.h"

#include <cstring>

#include "dispatch/layouts.h"

namespace tritforge {
namespace table27 {

Plan plan_of(const WeightShape& shape, std::size_t group_size) noexcept {
  Plan plan{};
  plan.panels = (shape.output_channels + kPanelOutputs - 1) / kPanelOutputs;
  plan.taps = tap_count(shape);
  plan.full_kind = group_size % 32 == 0 || group_size >= shape.depth ? kWide : kNarrow;
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
  block.kind = is_tail ? plan.tail_kind : plan.full_kind;
  block.units = is_tail ? 1 : left < plan.block_units ? left : plan.block_units;
  block.first_input = first * kUnitInputs;
  block.offset = sign_offsets_bytes(plan) + first * plan.panels * plan.taps * unit_bytes(plan.full_kind);
  block.panel_bytes = block.units * plan.taps * unit_bytes(block.kind);
  return block;
}

}  // namespace table27

namespace {

using namespace table27;

constexpr int kMaxGroupCode = 127;

// One unit of the payload and what it holds.
struct UnitPlace {
  UnitKind kind;
  std::size_t offset, panel, tap, first_input;
};

// Calls visit(UnitPlace) for all units.
template <typename Visit>
void for_each_unit(const Plan& plan, const Visit& visit) {
  for (std::size_t b = 0; b < plan.blocks(); ++b) {
    const Block block = block_of(plan, b);
    std::size_t offset = block.offset;
    for (std::size_t panel = 0; panel < plan.panels; ++panel) {
      for (std::size_t unit = 0; unit < block.units; ++unit) {
        for (std::size_t tap = 0; tap < plan.taps; ++tap, offset += unit_bytes(block.kind)) {
          visit(UnitPlace{block.kind, offset, panel, tap, block.first_input + unit * kUnitInputs});
        }
      }
    }
  }
}

// One index byte of a unit: its trits belong to `inputs` inputs from `first` on, and to one output of the panel.
struct IndexPlace {
  std::size_t byte, output, first;
  int lane, inputs;
};

template <typename Visit>
void for_each_index(UnitKind kind, const Visit& visit) {
  std::size_t byte = 0;
  for (std::size_t s = 0; s < 2; ++s) {
    const Span& span = kUnits[kind].spans[s];
    for (int lookup = 0; lookup < span.lookups; ++lookup) {
      const int inputs = span.inputs - 3 * lookup < 3 ? span.inputs - 3 * lookup : 3;
      for (std::size_t i = 0; i < 2 * kVectorBytes; ++i, ++byte) {
        const std::size_t half = i / 64, dword = i % 64 / 4, word = i / 2 % 2;
        const int lane = static_cast<int>(i % 2);
        visit(IndexPlace{byte, half * 32 + (s == 0 ? word : 1 - word) * 16 + dword,
                         static_cast<std::size_t>(span.first + lane * span.lane_stride + 3 * lookup), lane, inputs});
      }
    }
  }
}

// One byte of group codes: of the span that begins at input `first`, or of none.
struct CodePlace {
  std::size_t byte, output, first;
  bool exists;
};

template <typename Visit>
void for_each_code(UnitKind kind, const Visit& visit) {
  const std::size_t begin = static_cast<std::size_t>(2 * lookups(kind)) * kVectorBytes;
  for (std::size_t i = 0; i < 4 * kVectorBytes; ++i) {
    const std::size_t half = i / 128, word = i / 64 % 2, dword = i % 64 / 4, lane = i % 2;
    const Span& span = kUnits[kind].spans[(i / 2 + word) % 2];
    const std::size_t first = static_cast<std::size_t>(span.first) + lane * static_cast<std::size_t>(span.lane_stride);
    visit(CodePlace{begin + i, half * 32 + word * 16 + dword, first, span.lookups > 0});
  }
}

// Where the group code of a span lies, by lane and output.
std::size_t code_byte(UnitKind kind, std::size_t span, std::size_t lane, std::size_t output) {
  const std::size_t half = output / 32, word = output / 16 % 2, dword = output % 16;
  const std::size_t begin = static_cast<std::size_t>(2 * lookups(kind)) * kVectorBytes;
  return begin + half * 128 + word * 64 + dword * 4 + (span + word) % 2 * 2 + lane;
}

// From the byte of an index to its trits; `valid` where there are such.
struct Decoded {
  std::int8_t trits[3];
  std::int8_t lane;
  bool valid;
};

struct Decoder {
  Decoded entries[256] = {};
  constexpr Decoder() {
    for (int code = 0; code < 54; ++code) {
      const int t0 = code % 27 / 9 - 1, t1 = code % 9 / 3 - 1, t2 = code % 3 - 1, lane = code / 27;
      entries[entry_position(t0, t1, t2, lane)] = {
          {static_cast<std::int8_t>(t0), static_cast<std::int8_t>(t1), static_cast<std::int8_t>(t2)},
          static_cast<std::int8_t>(lane),
          true};
    }
  }
};
constexpr Decoder kDecoder;

std::size_t payload_bytes(WeightKind kind, const WeightShape& shape, std::size_t group_size) noexcept {
  const bool groups_fit = group_size % 16 == 0 || group_size >= shape.depth;
  if (kind != WeightKind::ternary || shape.groups != 1 || !groups_fit) return 0;
  const Plan plan = plan_of(shape, group_size);
  std::size_t inputs_bytes = plan.full_units * unit_bytes(plan.full_kind);
  if (plan.has_tail) inputs_bytes += unit_bytes(plan.tail_kind);
  return sign_offsets_bytes(plan) + inputs_bytes * plan.panels * plan.taps;
}

int trit(const Weights& w, std::size_t oc, std::size_t ic, std::size_t tap) {
  const std::size_t i = (oc * w.shape.depth + ic) * tap_count(w.shape) + tap;
  const int code = w.codes[i / 4] >> (i % 4 * 2) & 3;
  return code == 3 ? -1 : code;
}

std::size_t group_code(const Weights& w, std::size_t oc, std::size_t ic, std::size_t tap) {
  return w.group_codes[(oc * group_count(w) + ic / w.group_size) * tap_count(w.shape) + tap];
}

void pack_unit(const Weights& w, const UnitPlace& unit, std::uint8_t* to) {
  for_each_index(unit.kind, [&](const IndexPlace& at) {
    const std::size_t oc = unit.panel * kPanelOutputs + at.output;
    int t[3] = {};
    for (int i = 0; i < at.inputs; ++i) {
      const std::size_t ic = unit.first_input + at.first + static_cast<std::size_t>(i);
      if (oc < w.shape.output_channels && ic < w.shape.depth) t[i] = trit(w, oc, ic, unit.tap);
    }
    to[at.byte] = static_cast<std::uint8_t>(entry_position(t[0], t[1], t[2], at.lane));
  });
  for_each_code(unit.kind, [&](const CodePlace& at) {
    const std::size_t oc = unit.panel * kPanelOutputs + at.output, ic = unit.first_input + at.first;
    const bool exists = at.exists && oc < w.shape.output_channels && ic < w.shape.depth;
    to[at.byte] = static_cast<std::uint8_t>(exists ? group_code(w, oc, ic, unit.tap) : 0);
  });
}

Status pack(const Weights& w, std::uint8_t* payload) noexcept {
  const Plan plan = plan_of(w.shape, w.group_size);
  auto* offsets = reinterpret_cast<std::int32_t*>(payload);
  for (std::size_t oc = 0; oc < w.shape.output_channels; ++oc) {
    std::int32_t negative = 0;
    for (std::size_t ic = 0; ic < w.shape.depth; ++ic) {
      for (std::size_t tap = 0; tap < plan.taps; ++tap) {
        if (trit(w, oc, ic, tap) < 0) negative += static_cast<std::int32_t>(group_code(w, oc, ic, tap));
      }
    }
    offsets[oc] = kMaxCode * negative;
  }
  for_each_unit(plan, [&](const UnitPlace& unit) { pack_unit(w, unit, payload + unit.offset); });
  return Status::ok;
}

void unpack_unit(const WeightShape& shape, const UnitPlace& unit, const std::uint8_t* from, std::int8_t* values) {
  const Span& first = kUnits[unit.kind].spans[0];
  const std::size_t first_bytes = static_cast<std::size_t>(first.lookups) * 2 * kVectorBytes;
  for_each_index(unit.kind, [&](const IndexPlace& at) {
    const std::size_t oc = unit.panel * kPanelOutputs + at.output, span = at.byte < first_bytes ? 0 : 1;
    if (oc >= shape.output_channels) return;
    const int code = from[code_byte(unit.kind, span, static_cast<std::size_t>(at.lane), at.output)];
    for (int i = 0; i < at.inputs; ++i) {
      const std::size_t ic = unit.first_input + at.first + static_cast<std::size_t>(i);
      if (ic >= shape.depth) break;
      const int value = kDecoder.entries[from[at.byte]].trits[i] * code;
      values[(oc * shape.depth + ic) * tap_count(shape) + unit.tap] = static_cast<std::int8_t>(value);
    }
  });
}

void unpack(const PackedWeights& packed, std::int8_t* values) noexcept {
  for_each_unit(plan_of(packed.shape, packed.group_size), [&](const UnitPlace& unit) {
    unpack_unit(packed.shape, unit, packed.payload + unit.offset, values);
  });
}

bool valid(const PackedWeights& packed) noexcept {
  bool is_valid = true;
  for_each_unit(plan_of(packed.shape, packed.group_size), [&](const UnitPlace& unit) {
    const std::uint8_t* from = packed.payload + unit.offset;
    for_each_index(unit.kind, [&](const IndexPlace& at) {
      const Decoded& decoded = kDecoder.entries[from[at.byte]];
      is_valid &= decoded.valid && decoded.lane == at.lane;
    });
    for_each_code(unit.kind, [&](const CodePlace& at) { is_valid &= from[at.byte] <= (at.exists ? kMaxGroupCode : 0); });
  });
  return is_valid;
}

}  // namespace

const LayoutFunctions kTable27Layout{payload_bytes, pack, unpack, valid};

}  // namespace tritforge
