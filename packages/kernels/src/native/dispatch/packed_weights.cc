#include "tritforge/packed_weights.h"

#include <cstring>
#include <limits>
#include <memory>
#include <new>

#include "dispatch/layouts.h"

namespace tritforge {
namespace {

// Bounds that keep every product of dimensions far from overflowing size_t, and buffers below 2^48 bytes.
constexpr std::size_t kMaxChannels = std::size_t{1} << 24;
constexpr std::size_t kMaxKernel = 1 << 10;
constexpr std::size_t kMaxValues = std::size_t{1} << 40;
constexpr int kMaxGroupCode = 127;
constexpr int kMaxLevel = 3;

// The first 64 bytes, as drawn in the header file.
struct Header {
  char magic[4];
  std::uint16_t version;
  std::uint8_t layout;
  std::uint8_t kind;
  std::uint32_t output_channels, depth, kernel_height, kernel_width, groups, group_size;
  std::int8_t levels[4];
  std::uint32_t reserved;
  std::uint64_t payload_bytes;
  std::uint64_t checksum;
  std::uint64_t reserved2;
};
static_assert(sizeof(Header) == kPackHeaderBytes);

constexpr char kMagic[4] = {'T', 'F', 'P', 'W'};

std::size_t padded(std::size_t bytes) { return (bytes + kPackAlignment - 1) / kPackAlignment * kPackAlignment; }

std::size_t column_sums_bytes(const WeightShape& shape) { return padded(shape.output_channels * sizeof(std::int32_t)); }

bool within(std::size_t value, std::size_t maximum) { return value >= 1 && value <= maximum; }

bool shape_is_sane(const WeightShape& s) {
  if (!within(s.output_channels, kMaxChannels) || !within(s.depth, kMaxChannels) || !within(s.kernel_height, kMaxKernel) ||
      !within(s.kernel_width, kMaxKernel) || !within(s.groups, s.output_channels) || s.output_channels % s.groups != 0) {
    return false;
  }
  return s.groups <= kMaxChannels / s.depth && tap_count(s) * s.depth <= kMaxValues / s.output_channels;
}

bool parameters_are_sane(WeightKind kind, std::size_t group_size, const std::int8_t* levels) {
  if (kind == WeightKind::ternary) return within(group_size, kMaxChannels);
  if (kind == WeightKind::int8) return true;
  if (kind != WeightKind::uniform2) return false;
  for (int i = 0; i < 4; ++i) {
    if (levels[i] < -kMaxLevel || levels[i] > kMaxLevel) return false;
  }
  return true;
}

// The upper half is folded into the lower one, as a product alone never carries the highest bit anywhere: two of them would cancel out.
std::uint64_t hash_words(std::uint64_t hash, const std::uint8_t* bytes, std::size_t count) {
  for (std::size_t i = 0; i + 8 <= count; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes + i, sizeof word);
    hash = (hash ^ word) * 0x100000001b3;
    hash ^= hash >> 32;
  }
  return hash;
}

// Of the header, without the checksum itself, and of `count` bytes after it.
std::uint64_t checksum(Header header, const std::uint8_t* bytes, std::size_t count) {
  header.checksum = 0;
  std::uint8_t head[sizeof header];
  std::memcpy(head, &header, sizeof header);
  return hash_words(hash_words(0xcbf29ce484222325, head, sizeof head), bytes, count);
}

// Σ w per output channel; refuses sums that could leave int32 with uint8 activations of any zero point.
Status sum_columns(const Weights& w, std::int32_t* sums) {
  const std::size_t row = w.shape.depth * tap_count(w.shape);
  const std::unique_ptr<std::int8_t[]> values(new (std::nothrow) std::int8_t[w.shape.output_channels * row]);
  if (!values) return Status::out_of_memory;
  if (const Status status = decode_weights(w, values.get()); status != Status::ok) return status;
  for (std::size_t oc = 0; oc < w.shape.output_channels; ++oc) {
    std::int64_t sum = 0, magnitudes = 0;
    for (const std::int8_t* value = values.get() + oc * row; value != values.get() + (oc + 1) * row; ++value) {
      sum += *value;
      magnitudes += *value < 0 ? -*value : *value;
    }
    if (magnitudes * 255 > std::numeric_limits<std::int32_t>::max()) return Status::accumulator_overflow;
    sums[oc] = static_cast<std::int32_t>(sum);
  }
  return Status::ok;
}

bool weights_are_sane(const Weights& w) {
  if (!shape_is_sane(w.shape) || !parameters_are_sane(w.kind, w.group_size, w.levels)) return false;
  if (w.kind == WeightKind::int8) return w.values != nullptr;
  if (w.codes == nullptr) return false;
  if (w.kind == WeightKind::uniform2) return true;
  if (w.group_codes == nullptr) return false;
  for (std::size_t i = 0; i < w.shape.output_channels * group_count(w) * tap_count(w.shape); ++i) {
    if (w.group_codes[i] > kMaxGroupCode) return false;
  }
  return true;
}

}  // namespace

const LayoutFunctions* layout_functions(Layout layout) noexcept {
  switch (layout) {
    case Layout::dot8: return &kDot8Layout;
    case Layout::dot8t: return &kDot8tLayout;
    case Layout::table27: return &kTable27Layout;
    case Layout::table64: return &kTable64Layout;
    case Layout::gemv2: return &kGemv2Layout;
    case Layout::depthwise: return &kDepthwiseLayout;
  }
  return nullptr;
}

std::size_t packed_bytes(Layout layout, const Weights& w) noexcept {
  const LayoutFunctions* functions = layout_functions(layout);
  if (functions == nullptr || !shape_is_sane(w.shape) || !parameters_are_sane(w.kind, w.group_size, w.levels)) return 0;
  const std::size_t payload = functions->payload_bytes(w.kind, w.shape, w.group_size);
  return payload == 0 ? 0 : kPackHeaderBytes + column_sums_bytes(w.shape) + padded(payload);
}

Status pack_weights(Layout layout, const Weights& w, std::uint8_t* block) noexcept {
  const std::size_t bytes = packed_bytes(layout, w);
  if (!weights_are_sane(w)) return Status::invalid_argument;
  if (bytes == 0) return Status::unsupported;
  std::memset(block, 0, bytes);
  std::uint8_t* sums = block + kPackHeaderBytes;
  std::uint8_t* payload = sums + column_sums_bytes(w.shape);
  if (const Status status = sum_columns(w, reinterpret_cast<std::int32_t*>(sums)); status != Status::ok) return status;
  if (const Status status = layout_functions(layout)->pack(w, payload); status != Status::ok) return status;
  const std::size_t payload_bytes = static_cast<std::size_t>(block + bytes - payload);
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.version = kPackVersion;
  header.layout = static_cast<std::uint8_t>(layout);
  header.kind = static_cast<std::uint8_t>(w.kind);
  header.output_channels = static_cast<std::uint32_t>(w.shape.output_channels);
  header.depth = static_cast<std::uint32_t>(w.shape.depth);
  header.kernel_height = static_cast<std::uint32_t>(w.shape.kernel_height);
  header.kernel_width = static_cast<std::uint32_t>(w.shape.kernel_width);
  header.groups = static_cast<std::uint32_t>(w.shape.groups);
  header.group_size = w.kind == WeightKind::ternary ? static_cast<std::uint32_t>(w.group_size) : 0;
  if (w.kind == WeightKind::uniform2) std::memcpy(header.levels, w.levels, sizeof header.levels);
  header.payload_bytes = payload_bytes;
  header.checksum = checksum(header, sums, static_cast<std::size_t>(block + bytes - sums));
  std::memcpy(block, &header, sizeof header);
  return Status::ok;
}

Status open_packed(const std::uint8_t* block, std::size_t bytes, PackedWeights* opened) noexcept {
  Header header;
  if (block == nullptr || bytes < sizeof header || reinterpret_cast<std::uintptr_t>(block) % kPackAlignment != 0) {
    return Status::corrupt_pack;
  }
  std::memcpy(&header, block, sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.version != kPackVersion) return Status::corrupt_pack;
  const WeightKind kind = static_cast<WeightKind>(header.kind);
  const Layout layout = static_cast<Layout>(header.layout);
  const LayoutFunctions* functions = layout_functions(layout);
  const WeightShape shape{header.output_channels, header.depth, header.kernel_height, header.kernel_width, header.groups};
  if (functions == nullptr || !shape_is_sane(shape) || !parameters_are_sane(kind, header.group_size, header.levels)) {
    return Status::corrupt_pack;
  }
  const std::size_t payload = functions->payload_bytes(kind, shape, header.group_size);
  const std::size_t sums = column_sums_bytes(shape);
  if (payload == 0 || header.payload_bytes != padded(payload) || bytes != sizeof header + sums + padded(payload) ||
      header.checksum != checksum(header, block + sizeof header, bytes - sizeof header)) {
    return Status::corrupt_pack;
  }
  PackedWeights view{layout, kind, shape, header.group_size, {}, reinterpret_cast<const std::int32_t*>(block + sizeof header),
                     block + sizeof header + sums, payload};
  std::memcpy(view.levels, header.levels, sizeof view.levels);
  if (!functions->valid(view)) return Status::corrupt_pack;
  *opened = view;
  return Status::ok;
}

Status unpack_weights(const PackedWeights& packed, std::int8_t* values) noexcept {
  const LayoutFunctions* functions = layout_functions(packed.layout);
  if (functions == nullptr) return Status::corrupt_pack;
  functions->unpack(packed, values);
  return Status::ok;
}

}  // namespace tritforge
