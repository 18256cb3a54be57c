#include "convolution/windows.h"

#include <algorithm>
#include <cstring>

#include "convolution/window_plan.h"

namespace tritforge {
namespace {

constexpr std::size_t kDword = 4;
// What a tap may reach past the end of a copy.
constexpr std::size_t kSpareBytes = 64;

std::size_t channels_of(const WindowPlan& p) { return p.shape.groups * p.shape.depth; }

// A run of output rows of one image, and the row of the input, counted with padding, where the first window begins.
struct Segment {
  std::size_t image, first, rows, first_input_row;
};

// Calls visit(segment) for each image of the rows.
template <class Visit>
void for_each_segment(const WindowPlan& p, std::size_t first, std::size_t count, Visit visit) {
  const std::size_t height = p.rows / p.geometry.batch;
  while (count > 0) {
    const std::size_t y = first % height, rows = std::min(count, height - y);
    visit(Segment{first / height, y, rows, y * p.geometry.stride_height});
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

const std::uint8_t** point_at_pixels(const std::uint8_t* row, std::size_t count, std::size_t step, const std::uint8_t** windows) {
  for (std::size_t x = 0; x < count; ++x) windows[x] = row + x * step;
  return windows + count;
}

const std::uint8_t** point_at_rows(const WindowPlan& p, const std::uint8_t* row, std::size_t rows, std::size_t pixel_step,
                                   const std::uint8_t** windows) {
  const std::size_t row_step = p.geometry.stride_height * p.row_bytes;
  if (p.width == 1) return point_at_pixels(row, rows, row_step, windows);
  for (std::size_t y = 0; y < rows; ++y) windows = point_at_pixels(row + y * row_step, p.width, pixel_step, windows);
  return windows;
}

// Windows whose last dword would end behind the input are copied; only the last pixels can have such.
void keep_inside(const WindowPlan& p, const ConvolutionInput& input, std::uint8_t* buffer, const std::uint8_t** begin,
                 const std::uint8_t** end) {
  const ConvolutionGeometry& g = p.geometry;
  const std::uint8_t* const input_end = input.values + g.batch * g.height * g.width * channels_of(p);
  const std::size_t reach = (p.shape.groups - 1) * p.group_bytes + p.tap_dwords * kDword;
  while (end != begin && static_cast<std::size_t>(input_end - end[-1]) < reach) {
    --end;
    std::memcpy(buffer, *end, static_cast<std::size_t>(input_end - *end));
    *end = buffer;
    buffer += reach;
  }
}

void locate_in_input(const WindowPlan& p, const ConvolutionInput& input, std::size_t first, std::size_t count,
                     std::uint8_t* buffer, const Windows& windows) {
  const std::uint8_t** end = windows.first_bytes;
  for_each_segment(p, first, count, [&](const Segment& s) {
    end = point_at_rows(p, input_row(p, input, s.image, s.first_input_row), s.rows, p.geometry.stride_width * p.pixel_bytes, end);
  });
  if (p.tap_count == 1) keep_inside(p, input, buffer, windows.first_bytes, end);
}

// Appends the windows of a zone in one row of the output, whose first tap lies in the input row `row`. Returns their number.
std::size_t append_row(const WindowPlan& p, const Span& columns, const std::uint8_t* row, std::size_t first_pixel,
                       const std::uint8_t** windows, std::uint32_t* pixels) {
  const ConvolutionGeometry& g = p.geometry;
  const std::size_t count = columns.end - columns.begin;
  const std::size_t x = columns.begin * g.stride_width + columns.first_tap * g.dilation_width - g.pad_left;
  point_at_pixels(row + x * p.pixel_bytes, count, g.stride_width * p.pixel_bytes, windows);
  for (std::size_t i = 0; i < count; ++i) pixels[i] = static_cast<std::uint32_t>(first_pixel + i);
  return count;
}

void locate_zones(const WindowPlan& p, const ConvolutionInput& input, std::size_t first, std::size_t count,
                  const Windows& windows) {
  const ConvolutionGeometry& g = p.geometry;
  std::size_t located = 0;
  for (std::size_t zone = 0; zone < p.zones(); ++zone) {
    const Span& rows = p.vertical.items[zone / p.horizontal.count];
    const Span& columns = p.horizontal.items[zone % p.horizontal.count];
    std::size_t row_of_block = 0;
    for_each_segment(p, first, count, [&](const Segment& s) {
      for (std::size_t y = std::max(s.first, rows.begin); y < std::min(s.first + s.rows, rows.end); ++y) {
        const bool sees = rows.first_tap < rows.end_tap && columns.first_tap < columns.end_tap;
        const std::size_t input_y = y * g.stride_height + rows.first_tap * g.dilation_height - g.pad_top;
        const std::size_t pixel = (row_of_block + y - s.first) * p.width + columns.begin;
        const std::uint8_t** const to = windows.first_bytes + located;
        if (sees) {
          append_row(p, columns, input_row(p, input, s.image, input_y), pixel, to, windows.pixels + located);
        } else {
          for (std::size_t i = 0; i < columns.end - columns.begin; ++i) {
            to[i] = input.values;
            windows.pixels[located + i] = static_cast<std::uint32_t>(pixel + i);
          }
        }
        located += columns.end - columns.begin;
      }
      row_of_block += s.rows;
    });
    windows.ends[zone] = located;
  }
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
    windows = point_at_rows(p, buffer, s.rows, p.geometry.stride_width * p.pixel_bytes, windows);
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
    windows = point_at_rows(p, buffer, s.rows, p.pixel_bytes, windows);
    for (std::size_t y = 0; y < seen_rows(p, s.rows); ++y) {
      const std::uint8_t* const row = padded_row(p, input, s.image, s.first_input_row + y);
      for (std::size_t x = 0; x < p.width; ++x, buffer += p.pixel_bytes) gather_kernel_row(p, input, group, row, x, buffer);
    }
  });
}

}  // namespace

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
                    std::uint8_t* buffer, const Windows& windows) noexcept {
  if (p.zoned) return locate_zones(p, input, first, count, windows);
  windows.ends[0] = count * p.width;
  switch (p.source) {
    case WindowSource::input: return locate_in_input(p, input, first, count, buffer, windows);
    case WindowSource::padded: return copy_padded(p, input, first, count, buffer, windows.first_bytes);
    case WindowSource::gathered: return gather(p, input, group, first, count, buffer, windows.first_bytes);
  }
}

}  // namespace tritforge
