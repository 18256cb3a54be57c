// The driver of depthwise convolution: cuts the image in blocks of channels, groups of output rows and chunks of columns, and takes
// each through the three steps of depthwise_block.h. Pixels outside of the image are interleaved as zero points, so that the
// multiplication knows no borders.
#include <algorithm>
#include <atomic>
#include <cstring>

#include "convolution/depthwise_block.h"
#include "dispatch/layouts.h"
#include "layouts/depthwise.h"

namespace tritforge {
namespace {

constexpr std::size_t kQuad = 4, kStrip = 16, kAlignment = 64;
// Interleaved columns of a chunk stay in the first-level cache.
constexpr std::size_t kBufferBytes = 20 << 10;
// Items for each thread, so that they end together.
constexpr std::size_t kItemsPerThread = 4;

std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }
std::size_t aligned(std::size_t bytes) { return divide_up(bytes, kAlignment) * kAlignment; }

// Interleaved columns of `pixels` neighbouring outputs. Shared: columns as in the image, which neighbouring windows have in common.
// Spread: each kernel column has its own, for dilations and strides that leave gaps, and for vectors of several pixels.
struct ColumnPlan {
  bool shared;
  std::size_t pixels, chunks;  // of a chunk; of a row
  std::size_t pixel_step, tap_step;
  std::size_t columns;
  std::size_t plane_bytes;
};

// Widths of blocks: 16, 32, 64.
constexpr std::size_t kWidths = 3;

struct Plan {
  const DepthwiseMicrokernel* kernel;
  WeightShape shape;
  ConvolutionGeometry geometry;
  std::size_t height, width;     // of the output
  std::size_t quads;
  std::size_t rows;              // output rows of a group
  std::size_t row_step;          // input rows between interleaved rows
  std::size_t groups;            // of rows, in all images
  std::size_t blocks;            // of channels
  std::size_t slices, workers;   // an item is a slice of the groups of rows of a block
  ColumnPlan columns[kWidths];   // for each width that the kernel has
};

ColumnPlan plan_columns(const Plan& p, std::size_t width) {
  const std::size_t taps = p.shape.kernel_width, stride = p.geometry.stride_width;
  const std::size_t budget = kBufferBytes / (p.quads * p.kernel->planes * width);
  const std::size_t window = (taps - 1) * p.geometry.dilation_width + 1;
  const bool one_pixel = width == p.kernel->vector_channels;
  const std::size_t shared = window > budget ? 0 : std::min(p.width, (budget - window) / stride + 1);
  const std::size_t spread = std::clamp<std::size_t>(budget / taps, 1, p.width);
  ColumnPlan c{};
  c.shared = shared > 0 && (one_pixel || stride == 1) && (shared - 1) * stride + window <= shared * taps;
  c.chunks = divide_up(p.width, c.shared ? shared : spread);
  c.pixels = divide_up(p.width, c.chunks);
  c.chunks = divide_up(p.width, c.pixels);
  c.pixel_step = c.shared ? stride : 1;
  c.tap_step = c.shared ? p.geometry.dilation_width : c.pixels;
  c.columns = c.shared ? (c.pixels - 1) * stride + window : c.pixels * taps;
  c.plane_bytes = aligned(c.columns * width + p.kernel->vector_channels);
  return c;
}

Plan make_plan(const DepthwiseMicrokernel& kernel, const WeightShape& shape, const ConvolutionGeometry& g, std::size_t threads) {
  Plan p{&kernel, shape, g, output_height(g, shape), output_width(g, shape), depthwise_quads(shape), 1, g.dilation_height, 0, 0, 0, 0, {}};
  const std::size_t spare_rows = p.quads * kQuad - shape.kernel_height;
  if (g.dilation_height == 1 || shape.kernel_height == 1) {
    p.rows = std::min(p.height, spare_rows / g.stride_height + 1);
    p.row_step = 1;
  }
  p.groups = g.batch * divide_up(p.height, p.rows);
  p.blocks = divide_up(shape.output_channels, kernel.vector_channels);
  p.slices = threads <= 1 ? 1 : std::min(p.groups, divide_up(threads * kItemsPerThread, p.blocks));
  p.workers = std::min(std::max<std::size_t>(threads, 1), p.blocks * p.slices);
  for (std::size_t i = 0; kStrip << i <= kernel.vector_channels; ++i) p.columns[i] = plan_columns(p, kStrip << i);
  return p;
}

// Index of the narrowest width that holds the channels.
std::size_t width_index(const Plan& p, std::size_t channels) {
  std::size_t index = 0;
  while (kStrip << index < channels && kStrip << index < p.kernel->vector_channels) ++index;
  return index;
}

// Memory of one worker; without any it only counts.
struct Workspace {
  DepthwiseConstants constants;
  std::uint8_t* outside;       // zero points
  std::uint8_t* planes;
  std::size_t bytes;
};

Workspace workspace_of(const Plan& p, std::uint8_t* memory, std::size_t worker) {
  const std::size_t vector = p.kernel->vector_channels, planes = p.kernel->planes;
  const std::size_t weights = aligned(p.rows * p.quads * p.shape.kernel_width * planes * vector);
  const std::size_t sums = aligned(kQuad * vector);
  std::size_t plane_bytes = 0;
  for (const ColumnPlan& columns : p.columns) plane_bytes = std::max(plane_bytes, columns.plane_bytes);
  const std::size_t spare = p.shape.kernel_width * kDepthwiseColumnBytes;
  const std::size_t bytes = weights + 2 * sums + spare + kAlignment + p.quads * planes * plane_bytes;
  std::uint8_t* at = memory == nullptr ? nullptr : memory + worker * bytes;
  Workspace w{};
  w.bytes = bytes;
  if (at == nullptr) return w;
  w.constants.weights = at;
  w.constants.start = reinterpret_cast<std::int32_t*>(at + weights);
  w.constants.multiplier = reinterpret_cast<float*>(at + weights + sums);
  w.constants.spare = at + weights + 2 * sums;
  w.outside = w.constants.spare + spare;
  w.planes = w.outside + kAlignment;
  return w;
}

struct Call {
  Plan plan;
  const PackedWeights* weights;
  const ConvolutionInput* input;
  const OutputStage* stage;
  PreparedStage prepared;
  void* output;
  std::uint8_t* scratch;
  std::atomic<std::size_t> next_item;
};

// A block of channels in the hands of a worker.
struct Work {
  const Call* call;
  Workspace memory;
  DepthwiseBlock block;
  std::size_t first_channel;
  ColumnPlan columns;
  bool keeps_borders;  // columns outside of the image, once interleaved, stay as they are from row to row
};

// Four rows of the input, or of zero points.
struct Rows {
  const std::uint8_t* first[kQuad];  // pixel 0
  bool inside[kQuad];
};

// How many of `count` columns, `step` apart from `x` on, lie before `end`.
std::size_t columns_before(std::ptrdiff_t end, std::ptrdiff_t x, std::size_t step, std::size_t count) {
  if (x >= end) return 0;
  return std::min(count, divide_up(static_cast<std::size_t>(end - x), step));
}

void interleave_outside(const Work& w, std::size_t count, std::uint8_t* planes) {
  const std::uint8_t* z = w.memory.outside;
  if (count > 0) w.call->plan.kernel->interleave(w.block, {{z, z, z, z}, {0, 0, 0, 0}, count, planes, w.columns.plane_bytes});
}

// The columns before and behind the image, in each quad, if a row is a single chunk.
void interleave_borders(const Work& w) {
  const Plan& p = w.call->plan;
  const auto left = -static_cast<std::ptrdiff_t>(p.geometry.pad_left);
  const std::size_t before = columns_before(0, left, 1, w.columns.columns);
  const std::size_t within = columns_before(static_cast<std::ptrdiff_t>(p.geometry.width), left, 1, w.columns.columns);
  for (std::size_t quad = 0; quad < p.quads; ++quad) {
    std::uint8_t* const planes = w.memory.planes + quad * p.kernel->planes * w.columns.plane_bytes;
    interleave_outside(w, before, planes);
    interleave_outside(w, w.columns.columns - within, planes + within * w.block.width);
  }
}

// `count` columns of the image, `step` apart, the first at `x`, which may be outside.
void interleave_run(const Work& w, const Rows& rows, std::ptrdiff_t x, std::size_t step, std::size_t count, std::uint8_t* planes) {
  const Plan& p = w.call->plan;
  const std::size_t channels = p.shape.output_channels;
  const std::size_t left = columns_before(0, x, step, count);
  const std::size_t inside = columns_before(static_cast<std::ptrdiff_t>(p.geometry.width), x, step, count) - left;
  if (!w.keeps_borders) interleave_outside(w, left, planes);
  if (inside > 0) {
    DepthwiseColumns columns{{}, {}, inside, planes + left * w.block.width, w.columns.plane_bytes};
    const std::size_t first = static_cast<std::size_t>(x + static_cast<std::ptrdiff_t>(left * step)) * channels;
    for (std::size_t i = 0; i < kQuad; ++i) {
      columns.rows[i] = rows.inside[i] ? rows.first[i] + first : w.memory.outside;
      columns.steps[i] = rows.inside[i] ? step * channels : 0;
    }
    p.kernel->interleave(w.block, columns);
  }
  if (!w.keeps_borders) interleave_outside(w, count - left - inside, planes + (left + inside) * w.block.width);
}

// The rows of a quad under the output rows from `y` on, of which there are `rows`.
Rows rows_of(const Work& w, std::size_t image, std::size_t y, std::size_t rows, std::size_t quad) {
  const Plan& p = w.call->plan;
  const std::size_t needed = (rows - 1) * p.geometry.stride_height + p.shape.kernel_height;
  Rows found{};
  for (std::size_t i = 0; i < kQuad; ++i) {
    const std::size_t row = quad * kQuad + i;
    const std::size_t padded = y * p.geometry.stride_height + row * p.row_step;
    found.inside[i] = row < needed && padded >= p.geometry.pad_top && padded - p.geometry.pad_top < p.geometry.height;
    if (!found.inside[i]) continue;
    const std::size_t from = (image * p.geometry.height + padded - p.geometry.pad_top) * p.geometry.width;
    found.first[i] = w.call->input->values + from * p.shape.output_channels + w.first_channel;
  }
  return found;
}

void interleave_chunk(const Work& w, const Rows& rows, std::size_t first_pixel, std::size_t pixels, std::uint8_t* planes) {
  const Plan& p = w.call->plan;
  const ConvolutionGeometry& g = p.geometry;
  const auto x = static_cast<std::ptrdiff_t>(first_pixel * g.stride_width) - static_cast<std::ptrdiff_t>(g.pad_left);
  if (w.columns.shared) {
    const std::size_t window = (p.shape.kernel_width - 1) * g.dilation_width + 1;
    return interleave_run(w, rows, x, 1, (pixels - 1) * g.stride_width + window, planes);
  }
  for (std::size_t tap = 0; tap < p.shape.kernel_width; ++tap) {
    const auto from = x + static_cast<std::ptrdiff_t>(tap * g.dilation_width);
    interleave_run(w, rows, from, g.stride_width, pixels, planes + tap * w.columns.tap_step * w.block.width);
  }
}

Work begin_block(const Call& c, const Workspace& memory, std::size_t index) {
  const Plan& p = c.plan;
  const std::size_t first = index * p.kernel->vector_channels;
  const std::size_t channels = std::min(p.kernel->vector_channels, p.shape.output_channels - first);
  const std::size_t width = width_index(p, channels);
  const DepthwiseBlock block{channels, kStrip << width, p.quads, p.shape.kernel_width, p.rows, p.geometry.stride_height};
  const OutputStage& stage = *c.stage;
  const DepthwisePreparation from{c.weights->payload + first / kDepthwiseBlock * depthwise_block_bytes(p.shape),
                                  first % kDepthwiseBlock,
                                  c.weights->column_sums + first,
                                  stage.bias == nullptr ? nullptr : stage.bias + first,
                                  stage.kind == OutputKind::s32 ? nullptr : stage.multiplier + first,
                                  c.input->zero_point};
  prepare_depthwise(*p.kernel, block, from, memory.constants);
  const ColumnPlan& columns = p.columns[width];
  const bool keeps_borders = columns.shared && columns.chunks == 1 && block.width == p.kernel->vector_channels;
  const Work w{&c, memory, block, first, columns, keeps_borders};
  if (keeps_borders) interleave_borders(w);
  return w;
}

OutputTile output_of(const Work& w, std::size_t pixel) {
  const Call& c = *w.call;
  const std::size_t channels = c.plan.shape.output_channels;
  const std::uint8_t* residual = c.prepared.adds ? c.stage->residual.values : nullptr;
  OutputTile tile = advance({&c.prepared, nullptr, residual, c.output, channels, channels}, pixel, w.first_channel);
  tile.channels = w.block.channels;
  return tile;
}

void run_rows(const Work& w, std::size_t group) {
  const Plan& p = w.call->plan;
  const std::size_t of_image = p.groups / p.geometry.batch, image = group / of_image, y = group % of_image * p.rows;
  const std::size_t rows = std::min(p.rows, p.height - y), quad_bytes = p.kernel->planes * w.columns.plane_bytes, width = w.block.width;
  const std::size_t vector_bytes = width == p.kernel->vector_channels ? w.columns.pixel_step * width : p.kernel->vector_channels;
  for (std::size_t x = 0; x < p.width; x += w.columns.pixels) {
    const std::size_t pixels = std::min(w.columns.pixels, p.width - x);
    for (std::size_t quad = 0; quad < p.quads; ++quad) {
      interleave_chunk(w, rows_of(w, image, y, rows, quad), x, pixels, w.memory.planes + quad * quad_bytes);
    }
    for (std::size_t row = 0; row < rows; ++row) {
      const std::size_t pixel = ((image * p.height) + y + row) * p.width + x;
      p.kernel->multiply(w.block, w.memory.constants,
                         {w.memory.planes, w.columns.plane_bytes, quad_bytes, w.columns.tap_step * width, vector_bytes, pixels, row,
                          output_of(w, pixel)});
    }
  }
}

// One of `workers` tasks: takes items until there are none.
void work(void* context, std::size_t worker) noexcept {
  Call& c = *static_cast<Call*>(context);
  const Plan& p = c.plan;
  const Workspace memory = workspace_of(p, c.scratch, worker);
  std::memset(memory.outside, c.input->zero_point, kAlignment);
  for (std::size_t item = c.next_item++; item < p.blocks * p.slices; item = c.next_item++) {
    const Work w = begin_block(c, memory, item / p.slices);
    const std::size_t slice = item % p.slices;
    for (std::size_t group = slice * p.groups / p.slices; group < (slice + 1) * p.groups / p.slices; ++group) run_rows(w, group);
  }
}

template <const DepthwiseMicrokernel& kMicrokernel>
std::size_t scratch_bytes(const PackedWeights& weights, const ConvolutionGeometry& geometry, std::size_t threads) noexcept {
  const Plan plan = make_plan(kMicrokernel, weights.shape, geometry, threads);
  return plan.workers * workspace_of(plan, nullptr, 0).bytes;
}

template <const DepthwiseMicrokernel& kMicrokernel>
Status run(const PackedWeights& weights, const ConvolutionGeometry& geometry, const ConvolutionInput& input, const OutputStage& stage,
           void* output, std::uint8_t* scratch, const Parallel& parallel) noexcept {
  Call call{make_plan(kMicrokernel, weights.shape, geometry, parallel.threads), &weights, &input, &stage,
            prepare_stage(stage, weights.shape.output_channels), output, scratch, {}};
  parallel_for(parallel, call.plan.workers, work, &call);
  return Status::ok;
}

template <const DepthwiseMicrokernel& kMicrokernel>
constexpr ConvolutionKernel kernel(const char* name, Isa isa) {
  return {name, isa, Layout::depthwise, scratch_bytes<kMicrokernel>, run<kMicrokernel>};
}

#ifdef TRITFORGE_BUILT_AVX2
constexpr ConvolutionKernel kAvx2 = kernel<kDepthwise__avx2>("u8_depthwise__avx2", Isa::avx2);
#endif
#ifdef TRITFORGE_BUILT_AVXVNNI
constexpr ConvolutionKernel kAvxVnni = kernel<kDepthwise__avxvnni>("u8_depthwise__avxvnni", Isa::avxvnni);
#endif
#ifdef TRITFORGE_BUILT_AVX512
constexpr ConvolutionKernel kAvx512 = kernel<kDepthwise__avx512>("u8_depthwise__avx512", Isa::avx512);
#endif
#ifdef TRITFORGE_BUILT_NEON
constexpr ConvolutionKernel kNeon = kernel<kDepthwise__neon>("u8_depthwise__neon", Isa::neon);
// The matrix instructions have nothing for single channels.
constexpr ConvolutionKernel kNeonI8mm = kernel<kDepthwise__neon>("u8_depthwise__neon", Isa::neon_i8mm);
#endif

}  // namespace

const ConvolutionKernel* depthwise_kernel(Isa isa) noexcept {
  switch (isa) {
#ifdef TRITFORGE_BUILT_AVX2
    case Isa::avx2: return &kAvx2;
#endif
#ifdef TRITFORGE_BUILT_AVXVNNI
    case Isa::avxvnni: return &kAvxVnni;
#endif
#ifdef TRITFORGE_BUILT_AVX512
    case Isa::avx512: return &kAvx512;
#endif
#ifdef TRITFORGE_BUILT_NEON
    case Isa::neon: return &kNeon;
    case Isa::neon_i8mm: return &kNeonI8mm;
#endif
    default: return nullptr;
  }
}

}  // namespace tritforge
