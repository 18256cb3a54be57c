#include "convolution/windows.h"

#include <algorithm>
#include <cstring>

namespace tritforge {
namespace {

constexpr std::size_t kDword = 4;
// What a tap may reach past the end of a copy.
constexpr std::size_t kSpareBytes = 64;

std::size_t in_dwords(std::size_t bytes) { return (bytes + kDword - 1) / kDword; }

std::size_t channels_of(const WindowPlan& p) { return p.shape.groups * p.shape.depth; }

// Extent of the input that `outputs` neighbouring outputs see.
std::size_t seen(std::size_t outputs, std::size_t stride, std::size_t kernel, std::size_t dilation) {
  return (outputs - 1) * stride + (kernel - 1) * dilation + 1;
}

std::size_t seen_rows(const WindowPlan& p, std::size_t rows) {
  return seen(rows, p.geometry.stride_height, p.shape.kernel_height, p.geometry.dilation_height);
}

std::size_t seen_columns(const WindowPlan& p) {
  return seen(p.width, p.geometry.stride_width, p.shape.kernel_width, p.geometry.dilation_width);
}

bool stays_inside(const WindowPlan& p, std::size_t output_rows) {
  const ConvolutionGeometry& g = p.geometry;
  return g.pad_top == 0 && g.pad_left == 0 && seen_rows(p, output_rows) <= g.height && seen_columns(p) <= g.width;
}

// Each pixel a row of its own, which lets blocks of pixels begin anywhere.
void flatten_pixels(ConvolutionGeometry* g, const WeightShape& s) {
  const bool pads = g->pad_top + g->pad_left + g->pad_bottom + g->pad_right > 0;
  if (tap_count(s) == 1 && g->stride_height == 1 && g->stride_width == 1 && !pads) {
    *g = matrix_geometry(g->batch * g->height * g->width);
  }
}

// A run of output rows of one image, and the row of the input, counted with padding, where the first window begins.
struct Segment {
  std::size_t image, rows, first_input_row;
};

// Calls visit(segment) for each image of the rows.
template <class Visit>
void for_each_segment(const WindowPlan& p, std::size_t first, std::size_t count, Visit visit) {
  const std::size_t height = p.rows / p.geometry.batch;
  while (count > 0) {
    const std::size_t y = first % height, rows = std::min(count, height - y);
    visit(Segment{first / height, rows, y * p.geometry.stride_height});
    first += rows;
    count -= rows;
  }
}

const std::uint8_t* input_row(const WindowPlan& p, const ConvolutionInput& input, std::size_t image, std::size_t y) {
  return input.values + (image * p.geometry.height + y) * p.geometry.width * channels_of(p);
}

// The input row behind row `y`, counted with padding, or null outside of the image.
const std::uint8_t* padded_row(const WindowPlan& p, const ConvolutionInput& input, std::size_t image, std::size_t y) {
  const bool outside = y < p.geometry.pad_top || y - p.geometry.pad_top >= p.geometry.height;
  return outside ? nullptr : input_row(p, input, image, y - p.geometry.pad_top);
}

const std::uint8_t** point_at_pixels(const WindowPlan& p, const std::uint8_t* row, std::size_t rows, std::size_t row_step,
                                     std::size_t pixel_step, const std::uint8_t** windows) {
  for (std::size_t y = 0; y < rows; ++y, row += row_step) {
    for (std::size_t x = 0; x < p.width; ++x) *windows++ = row + x * pixel_step;
  }
  return windows;
}

// Windows whose last dword would end behind the input are copied; only the last pixels can have such.
void keep_inside(const WindowPlan& p, const ConvolutionInput& input, std::uint8_t* buffer, const std::uint8_t** begin,
                 const std::uint8_t** end) {
  const ConvolutionGeometry& g = p.geometry;
  const std::uint8_t* const input_end = input.values + g.batch * g.height * g.width * channels_of(p);
  const std::size_t reach = (p.shape.groups - 1) * p.group_bytes + (p.tap_count - 1) * p.row_bytes + p.tap_dwords * kDword;
  while (end != begin && static_cast<std::size_t>(input_end - end[-1]) < reach) {
    --end;
    std::memcpy(buffer, *end, static_cast<std::size_t>(input_end - *end));
    *end = buffer;
    buffer += reach;
  }
}

void locate_in_input(const WindowPlan& p, const ConvolutionInput& input, std::size_t first, std::size_t count,
                     std::uint8_t* buffer, const std::uint8_t** windows) {
  const std::uint8_t** end = windows;
  for_each_segment(p, first, count, [&](const Segment& s) {
    end = point_at_pixels(p, input_row(p, input, s.image, s.first_input_row), s.rows, p.geometry.stride_height * p.row_bytes,
                          p.geometry.stride_width * p.pixel_bytes, end);
  });
  if (p.tap_count == 1) keep_inside(p, input, buffer, windows, end);
}

void copy_padded_row(const WindowPlan& p, const ConvolutionInput& input, const std::uint8_t* row, std::uint8_t* to) {
  const std::size_t channels = channels_of(p), left = std::min(p.geometry.pad_left * channels, p.row_bytes);
  const std::size_t inside = row == nullptr ? 0 : std::min(p.geometry.width * channels, p.row_bytes - left);
  std::memset(to, input.zero_point, row == nullptr ? p.row_bytes : left);
  if (row == nullptr) return;
  std::memcpy(to + left, row, inside);
  std::memset(to + left + inside, input.zero_point, p.row_bytes - left - inside);
}

void copy_padded(const WindowPlan& p, const ConvolutionInput& input, std::size_t first, std::size_t count, std::uint8_t* buffer,
                 const std::uint8_t** windows) {
  for_each_segment(p, first, count, [&](const Segment& s) {
    windows = point_at_pixels(p, buffer, s.rows, p.geometry.stride_height * p.row_bytes, p.geometry.stride_width * p.pixel_bytes,
                              windows);
    for (std::size_t y = 0; y < seen_rows(p, s.rows); ++y, buffer += p.row_bytes) {
      copy_padded_row(p, input, padded_row(p, input, s.image, s.first_input_row + y), buffer);
    }
  });
}

// The kernel row of one output pixel, for one group.
void gather_kernel_row(const WindowPlan& p, const ConvolutionInput& input, std::size_t group, const std::uint8_t* row, std::size_t x,
                       std::uint8_t* to) {
  const ConvolutionGeometry& g = p.geometry;
  for (std::size_t kx = 0; kx < p.shape.kernel_width; ++kx, to += p.shape.depth) {
    const std::size_t column = x * g.stride_width + kx * g.dilation_width;
    if (row == nullptr || column < g.pad_left || column - g.pad_left >= g.width) {
      std::memset(to, input.zero_point, p.shape.depth);
    } else {
      std::memcpy(to, row + (column - g.pad_left) * channels_of(p) + group * p.shape.depth, p.shape.depth);
    }
  }
}

void gather(const WindowPlan& p, const ConvolutionInput& input, std::size_t group, std::size_t first, std::size_t count,
            std::uint8_t* buffer, const std::uint8_t** windows) {
  for_each_segment(p, first, count, [&](const Segment& s) {
    windows = point_at_pixels(p, buffer, s.rows, p.geometry.stride_height * p.row_bytes, p.pixel_bytes, windows);
    for (std::size_t y = 0; y < seen_rows(p, s.rows); ++y) {
      const std::uint8_t* const row = padded_row(p, input, s.image, s.first_input_row + y);
      for (std::size_t x = 0; x < p.width; ++x, buffer += p.pixel_bytes) gather_kernel_row(p, input, group, row, x, buffer);
    }
  });
}

}  // namespace

WindowPlan plan_windows(const WeightShape& shape, const ConvolutionGeometry& geometry) noexcept {
  WindowPlan p{shape, geometry, WindowSource::input, 0, 0, 0, 0, 0, 0, 0};
  flatten_pixels(&p.geometry, shape);
  const std::size_t height = output_height(p.geometry, shape), row = shape.kernel_width * shape.depth;
  p.rows = p.geometry.batch * height;
  p.width = output_width(p.geometry, shape);
  const bool row_is_run = shape.kernel_width == 1 || (shape.groups == 1 && p.geometry.dilation_width == 1);
  if (!row_is_run && shape.depth % kDword != 0) {
    p.source = WindowSource::gathered;
    p.tap_count = shape.kernel_height;
    p.tap_dwords = in_dwords(row);
    p.pixel_bytes = p.tap_dwords * kDword;
    p.row_bytes = p.width * p.pixel_bytes;
    return p;
  }
  p.tap_count = row_is_run ? shape.kernel_height : tap_count(shape);
  p.tap_dwords = in_dwords(row_is_run ? row : shape.depth);
  p.group_bytes = shape.depth;
  p.pixel_bytes = channels_of(p);
  const bool ends_inside = row % kDword == 0 || p.tap_count == 1;
  if (!ends_inside || !stays_inside(p, height)) p.source = WindowSource::padded;
  p.row_bytes = (p.source == WindowSource::input ? p.geometry.width : seen_columns(p)) * p.pixel_bytes;
  return p;
}

void fill_taps(const WindowPlan& p, std::ptrdiff_t* taps) noexcept {
  const std::size_t taps_of_row = p.tap_count / p.shape.kernel_height;
  for (std::size_t ky = 0; ky < p.shape.kernel_height; ++ky) {
    for (std::size_t kx = 0; kx < taps_of_row; ++kx) {
      *taps++ = static_cast<std::ptrdiff_t>(ky * p.geometry.dilation_height * p.row_bytes + kx * p.geometry.dilation_width * p.pixel_bytes);
    }
  }
}

std::size_t window_bytes(const WindowPlan& p, std::size_t rows) noexcept {
  if (p.source == WindowSource::input) {
    const std::size_t reach = (p.shape.groups - 1) * p.group_bytes + p.tap_dwords * kDword;
    return p.tap_count == 1 && p.shape.depth % kDword != 0 ? (kDword - 1) * reach : 0;
  }
  // Rows of several images overlap nowhere: each image brings its own margin.
  const std::size_t images = std::min({p.geometry.batch, rows, rows / (p.rows / p.geometry.batch) + 2});
  return (seen_rows(p, rows) + (images - 1) * seen_rows(p, 1)) * p.row_bytes + kSpareBytes;
}

void locate_windows(const WindowPlan& p, const ConvolutionInput& input, std::size_t group, std::size_t first, std::size_t count,
                    std::uint8_t* buffer, const std::uint8_t** windows) noexcept {
  switch (p.source) {
    case WindowSource::input: return locate_in_input(p, input, first, count, buffer, windows);
    case WindowSource::padded: return copy_padded(p, input, first, count, buffer, windows);
    case WindowSource::gathered: return gather(p, input, group, first, count, buffer, windows);
  }
}

}  // namespace tritforge
