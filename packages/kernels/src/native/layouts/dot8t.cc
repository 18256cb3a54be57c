#include "layouts/dot8t.h"

#include <cstring>
#include <limits>
#include <memory>
#include <new>

#include "dispatch/layouts.h"

namespace tritforge {
namespace {

constexpr int kMostCode = 127;

Dot8tShape shape_of(const PackedWeights& p) { return dot8t_shape(p.shape, p.group_size); }

std::size_t tap_sum_count(const Dot8tShape& s) {
  return s.positions > 1 ? s.positions * s.groups * s.strips * kDot8tStripOutputs : 0;
}

// The last group of inputs may be short, but not cut a dword.
std::size_t payload_bytes(WeightKind kind, const WeightShape& shape, std::size_t group_size) noexcept {
  if (kind != WeightKind::ternary || group_size > kDot8tMostInputs) return 0;
  if (shape.depth % kDot8tDwordBytes != 0 || group_size % kDot8tDwordBytes != 0) return 0;
  const Dot8tShape s = dot8t_shape(shape, group_size);
  if (dot8t_codes_offset(s) > std::numeric_limits<std::uint32_t>::max()) return 0;
  return dot8t_strips_bytes(s) + tap_sum_count(s) * sizeof(std::int32_t);
}

// Offsets in the payload of a weight's trit and of its code, which lies there twice.
struct Place {
  std::size_t trit, code;
};

Place place_of(const Dot8tShape& s, std::size_t oc, std::size_t ic, std::size_t position) {
  const std::size_t output = oc % s.outputs, lane = output % kDot8tStripOutputs;
  const std::size_t strip = (oc / s.outputs * s.strips + output / kDot8tStripOutputs) * dot8t_strip_bytes(s);
  const std::size_t dword = ic / kDot8tDwordBytes, code_row = position * s.code_rows + dword / s.group_dwords;
  const std::size_t vector = position * s.dwords + dword;
  return {strip + kDot8tHeaderBytes + vector * kDot8tVectorBytes + lane * kDot8tDwordBytes + ic % kDot8tDwordBytes,
          strip + dot8t_codes_offset(s) + code_row * kDot8tCodeBytes + lane * 2};
}

struct StripHeader {
  std::uint32_t dwords, group_dwords, codes_offset;
  bool operator==(const StripHeader&) const = default;
};

StripHeader header_of(const Dot8tShape& s) {
  return {static_cast<std::uint32_t>(s.dwords), static_cast<std::uint32_t>(s.group_dwords),
          static_cast<std::uint32_t>(dot8t_codes_offset(s))};
}

void write_headers(const Dot8tShape& s, std::uint8_t* payload) {
  const StripHeader header = header_of(s);
  for (std::size_t i = 0; i < s.groups * s.strips; ++i) std::memcpy(payload + i * dot8t_strip_bytes(s), &header, sizeof header);
}

// Calls visit(oc, position, index in [OC, depth, kH, kW], place) for every weight.
template <class Visit>
void for_each_weight(const WeightShape& shape, const Dot8tShape& s, Visit visit) {
  std::size_t index = 0;
  for (std::size_t oc = 0; oc < shape.output_channels; ++oc) {
    for (std::size_t ic = 0; ic < shape.depth; ++ic) {
      for (std::size_t position = 0; position < s.positions; ++position) {
        visit(oc, position, index++, place_of(s, oc, ic, position));
      }
    }
  }
}

// The block is zero where nothing is written. Codes of groups without a nonzero trit are not kept.
Status pack(const Weights& weights, std::uint8_t* payload) noexcept {
  const WeightShape& shape = weights.shape;
  const Dot8tShape s = dot8t_shape(shape, weights.group_size);
  const std::unique_ptr<std::int8_t[]> values(new (std::nothrow) std::int8_t[shape.output_channels * shape.depth * s.positions]);
  if (!values) return Status::out_of_memory;
  if (const Status status = decode_weights(weights, values.get()); status != Status::ok) return status;
  write_headers(s, payload);
  auto* const sums = reinterpret_cast<std::int32_t*>(payload + dot8t_strips_bytes(s));
  for_each_weight(shape, s, [&](std::size_t oc, std::size_t position, std::size_t index, const Place& place) {
    const int value = values[index];
    if (value == 0) return;
    payload[place.trit] = static_cast<std::uint8_t>(value > 0 ? 1 : -1);
    payload[place.code] = payload[place.code + 1] = static_cast<std::uint8_t>(value > 0 ? value : -value);
    if (s.positions == 1) return;
    const std::size_t output = oc / s.outputs * s.strips * kDot8tStripOutputs + oc % s.outputs;
    sums[position * s.groups * s.strips * kDot8tStripOutputs + output] += value;
  });
  return Status::ok;
}

void unpack(const PackedWeights& packed, std::int8_t* values) noexcept {
  const std::uint8_t* const p = packed.payload;
  for_each_weight(packed.shape, shape_of(packed), [&](std::size_t, std::size_t, std::size_t index, const Place& place) {
    values[index] = static_cast<std::int8_t>(static_cast<std::int8_t>(p[place.trit]) * p[place.code]);
  });
}

bool strip_is_valid(const Dot8tShape& s, const std::uint8_t* strip) {
  StripHeader header{};
  std::memcpy(&header, strip, sizeof header);
  if (header != header_of(s)) return false;
  for (std::size_t i = kDot8tHeaderBytes; i < dot8t_codes_offset(s); ++i) {
    const int trit = static_cast<std::int8_t>(strip[i]);
    if (trit < -1 || trit > 1) return false;
  }
  const std::uint8_t* const codes = strip + dot8t_codes_offset(s);
  for (std::size_t i = 0; i < s.positions * s.code_rows * kDot8tCodeBytes; i += 2) {
    if (codes[i] > kMostCode || codes[i] != codes[i + 1]) return false;
  }
  return true;
}

// Trits and codes bound the 16-bit sums; the header leads kernels to the codes.
bool valid(const PackedWeights& packed) noexcept {
  const Dot8tShape s = shape_of(packed);
  for (std::size_t i = 0; i < s.groups * s.strips; ++i) {
    if (!strip_is_valid(s, packed.payload + i * dot8t_strip_bytes(s))) return false;
  }
  return true;
}

}  // namespace

const LayoutFunctions kDot8tLayout{payload_bytes, pack, unpack, valid};

}  // namespace tritforge
