#include "convolution/window_plan.h"

#include <algorithm>

namespace tritforge {
namespace {

constexpr std::size_t kDword = 4;
// A rough model of what decides between zones and a padded copy, in cycles of one dword of depth on a core with two dot products per
// cycle. Sums of a tile of few rows wait for each other.
constexpr double kProductsPerCycle = 2, kLatency = 5, kTileSums = 24, kPanelStrips = 4;
constexpr double kCopiedBytesPerCycle = 16, kCyclesPerZone = 100;
// Taps of a kernel, for scratch that grows with zones · taps.
constexpr std::size_t kMostTaps = 128;

std::size_t in_dwords(std::size_t bytes) { return (bytes + kDword - 1) / kDword; }

// One axis of a convolution.
struct Axis {
  std::size_t outputs, extent, stride, dilation, pad, kernel;
};

// Positions of the kernel that are inside of the image for one output: [first, end).
Span seen_by(const Axis& a, std::size_t output) {
  Span s{output, output + 1, 0, 0};
  const std::size_t begin = output * a.stride;
  while (s.first_tap < a.kernel && begin + s.first_tap * a.dilation < a.pad) ++s.first_tap;
  s.end_tap = s.first_tap;
  while (s.end_tap < a.kernel && begin + s.end_tap * a.dilation < a.pad + a.extent) ++s.end_tap;
  return s;
}

// Cuts the outputs where what they see changes. False if there are too many pieces.
bool cut(const Axis& a, Spans* spans) {
  spans->count = 0;
  for (std::size_t output = 0; output < a.outputs; ++output) {
    const Span s = seen_by(a, output);
    Span* const last = spans->count == 0 ? nullptr : &spans->items[spans->count - 1];
    if (last != nullptr && last->first_tap == s.first_tap && last->end_tap == s.end_tap) {
      last->end = output + 1;
      continue;
    }
    if (spans->count == kMostSpans) return false;
    spans->items[spans->count++] = s;
  }
  return true;
}

Axis vertical_axis(const WindowPlan& p) {
  const ConvolutionGeometry& g = p.geometry;
  return {p.rows / g.batch, g.height, g.stride_height, g.dilation_height, g.pad_top, p.shape.kernel_height};
}

Axis horizontal_axis(const WindowPlan& p) {
  const ConvolutionGeometry& g = p.geometry;
  return {p.width, g.width, g.stride_width, g.dilation_width, g.pad_left, p.shape.kernel_width};
}

Spans one_span(std::size_t outputs, std::size_t kernel) {
  Spans spans{};
  spans.items[0] = {0, outputs, 0, kernel};
  spans.count = 1;
  return spans;
}

// Cycles for each dword of depth and each panel.
double cycles_of_tiles(double strips, std::size_t pixels) {
  const double most = std::max(1.0, kTileSums / strips);
  const double tiles = std::max(1.0, (static_cast<double>(pixels) + most - 1) / most);
  return tiles * std::max(static_cast<double>(pixels) / tiles * strips / kProductsPerCycle, kLatency);
}

bool zones_pay(const WindowPlan& p) {
  const double outputs = static_cast<double>(p.shape.output_channels) / static_cast<double>(p.shape.groups);
  const double all_strips = std::max(1.0, outputs / 16), strips = std::min(all_strips, kPanelStrips);
  const double calls = static_cast<double>(p.shape.groups) * std::max(1.0, all_strips / strips);
  const double dwords = static_cast<double>(in_dwords(p.shape.depth));
  double zoned = 0;
  for (std::size_t zone = 0; zone < p.zones(); ++zone) {
    const Span& v = p.vertical.items[zone / p.horizontal.count];
    const Span& h = p.horizontal.items[zone % p.horizontal.count];
    const std::size_t pixels = p.geometry.batch * (v.end - v.begin) * (h.end - h.begin);
    const std::size_t taps = (v.end_tap - v.first_tap) * (h.end_tap - h.first_tap);
    zoned += calls * (dwords * static_cast<double>(taps) * cycles_of_tiles(strips, pixels) + kCyclesPerZone);
  }
  const std::size_t copied = p.geometry.batch * seen_rows(p, p.rows / p.geometry.batch) * seen_columns(p) * p.pixel_bytes;
  const double products = dwords * static_cast<double>(tap_count(p.shape)) * cycles_of_tiles(strips, p.rows * p.width);
  return zoned < calls * products + static_cast<double>(copied) / kCopiedBytesPerCycle;
}

// Each pixel a row of its own, which lets blocks of pixels begin anywhere.
void flatten_pixels(ConvolutionGeometry* g, const WeightShape& s) {
  const bool pads = g->pad_top + g->pad_left + g->pad_bottom + g->pad_right > 0;
  if (tap_count(s) == 1 && g->stride_height == 1 && g->stride_width == 1 && !pads) {
    *g = matrix_geometry(g->batch * g->height * g->width);
  }
}

bool stays_inside(const WindowPlan& p) {
  const ConvolutionGeometry& g = p.geometry;
  return g.pad_top == 0 && g.pad_left == 0 && seen_rows(p, p.rows / g.batch) <= g.height && seen_columns(p) <= g.width;
}

void plan_gathering(WindowPlan* p) {
  p->source = WindowSource::gathered;
  p->rows_are_runs = true;
  p->tap_count = p->shape.kernel_height;
  p->tap_dwords = in_dwords(p->shape.kernel_width * p->shape.depth);
  p->pixel_bytes = p->tap_dwords * kDword;
  p->row_bytes = p->width * p->pixel_bytes;
}

// Whether what leaves the image can be left out, and how.
bool plan_zones(WindowPlan* p) {
  if (p->shape.depth % kDword != 0 || tap_count(p->shape) > kMostTaps) return false;
  Spans vertical, horizontal;
  if (!cut(vertical_axis(*p), &vertical) || !cut(horizontal_axis(*p), &horizontal)) return false;
  WindowPlan zoned = *p;
  zoned.zoned = true;
  zoned.vertical = vertical;
  zoned.horizontal = horizontal;
  if (!zones_pay(zoned)) return false;
  *p = zoned;
  return true;
}

}  // namespace

WindowPlan plan_windows(const WeightShape& shape, const ConvolutionGeometry& geometry) noexcept {
  WindowPlan p{};
  p.shape = shape;
  p.geometry = geometry;
  flatten_pixels(&p.geometry, shape);
  const std::size_t height = output_height(p.geometry, shape), row = shape.kernel_width * shape.depth;
  p.rows = p.geometry.batch * height;
  p.width = output_width(p.geometry, shape);
  p.vertical = one_span(height, shape.kernel_height);
  p.horizontal = one_span(p.width, shape.kernel_width);
  p.rows_are_runs = shape.kernel_width == 1 || (shape.groups == 1 && p.geometry.dilation_width == 1);
  if (!p.rows_are_runs && shape.depth % kDword != 0) {
    plan_gathering(&p);
    return p;
  }
  p.tap_count = p.rows_are_runs ? shape.kernel_height : tap_count(shape);
  p.tap_dwords = in_dwords(p.rows_are_runs ? row : shape.depth);
  p.group_bytes = shape.depth;
  p.pixel_bytes = shape.groups * shape.depth;
  const bool ends_inside = row % kDword == 0 || p.tap_count == 1;
  const bool reads_input = stays_inside(p) ? ends_inside : plan_zones(&p);
  p.source = reads_input ? WindowSource::input : WindowSource::padded;
  p.row_bytes = (reads_input ? p.geometry.width : seen_columns(p)) * p.pixel_bytes;
  return p;
}

ZoneTaps zone_taps(const WindowPlan& p, std::size_t zone) noexcept {
  const Span& v = p.vertical.items[zone / p.horizontal.count];
  const Span& h = p.horizontal.items[zone % p.horizontal.count];
  ZoneTaps z{v.first_tap, v.end_tap, h.first_tap, h.end_tap, 0, p.tap_dwords};
  const std::size_t rows = v.end_tap - v.first_tap, columns = h.end_tap - h.first_tap;
  if (!p.rows_are_runs) {
    z.taps = rows * columns;
    return z;
  }
  z.taps = columns == 0 ? 0 : rows;
  if (columns < p.shape.kernel_width) z.tap_dwords = columns * p.shape.depth / kDword;
  return z;
}

void fill_taps(const WindowPlan& p, std::size_t zone, DotTap* taps) noexcept {
  const ZoneTaps z = zone_taps(p, zone);
  if (z.taps == 0) return;
  const std::size_t row_dwords = in_dwords(p.shape.kernel_width * p.shape.depth);
  const std::size_t taps_of_row = z.taps / (z.end_row - z.first_row);
  for (std::size_t ky = z.first_row; ky < z.end_row; ++ky) {
    for (std::size_t i = 0; i < taps_of_row; ++i) {
      const std::size_t bytes = (ky - z.first_row) * p.geometry.dilation_height * p.row_bytes +
                                i * p.geometry.dilation_width * p.pixel_bytes;
      *taps++ = {static_cast<std::ptrdiff_t>(bytes), ky * row_dwords + (z.first_column + i) * p.shape.depth / kDword};
    }
  }
}

}  // namespace tritforge
