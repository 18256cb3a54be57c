#include "tritforge/weights.h"

#include "tritforge/status.h"

namespace tritforge {
namespace {

int two_bits(const std::uint8_t* codes, std::size_t index) { return codes[index / 4] >> (index % 4 * 2) & 3; }

}  // namespace

Status decode_weights(const Weights& w, std::int8_t* values) noexcept {
  const std::size_t taps = tap_count(w.shape), row = w.shape.depth * taps;
  if (w.kind == WeightKind::int8) {
    for (std::size_t i = 0; i < w.shape.output_channels * row; ++i) values[i] = w.values[i];
    return Status::ok;
  }
  if (w.kind == WeightKind::uniform2) {
    for (std::size_t i = 0; i < w.shape.output_channels * row; ++i) values[i] = w.levels[two_bits(w.codes, i)];
    return Status::ok;
  }
  const std::size_t groups = group_count(w);
  for (std::size_t oc = 0; oc < w.shape.output_channels; ++oc) {
    for (std::size_t ic = 0; ic < w.shape.depth; ++ic) {
      for (std::size_t tap = 0; tap < taps; ++tap) {
        const std::size_t i = (oc * w.shape.depth + ic) * taps + tap;
        const int code = two_bits(w.codes, i);
        if (code == 2) return Status::invalid_code;
        const int magnitude = w.group_codes[(oc * groups + ic / w.group_size) * taps + tap];
        values[i] = static_cast<std::int8_t>(code == 1 ? magnitude : code == 3 ? -magnitude : 0);
      }
    }
  }
  return Status::ok;
}

}  // namespace tritforge
