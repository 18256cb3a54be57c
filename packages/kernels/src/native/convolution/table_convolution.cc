#include "convolution/table_convolution.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "convolution/scratch_arena.h"

namespace tritforge {
namespace {

// Tables of a block of output pixels, which stay in the second-level cache.
constexpr std::size_t kBlockTableBytes = std::size_t{400} << 10;
constexpr std::size_t kPointwiseBlockPixels = 126;
// Pixels whose tables share the first-level cache with a panel of weights.
constexpr std::size_t kPointwiseGroupPixels = 3;
// Weights of one block that stay in the second-level cache.
constexpr std::size_t kPointwiseOutputs = 2048;
constexpr std::size_t kFewestPointwisePixels = 24;
constexpr std::size_t kBuildPixels = 32;
constexpr std::size_t kItemsPerThread = 4;

std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

// Input rows, or columns, that a run of outputs reads: each a slot that has its tables once. Slots are the inputs between the first
// and the last, or, where most of those would be skipped, each output has slots of its own.
struct Axis {
  std::size_t stride, dilation, kernel, pad, extent;
  bool is_gathered;

  std::size_t spanned(std::size_t outputs) const { return (outputs - 1) * stride + (kernel - 1) * dilation + 1; }
  std::size_t slots(std::size_t outputs) const { return is_gathered ? outputs * kernel : spanned(outputs); }
  std::size_t output_step() const { return is_gathered ? kernel : stride; }
  std::size_t tap_step() const { return is_gathered ? 1 : dilation; }
  // Position in the input, or `extent` outside of it.
  std::size_t input(std::size_t first_output, std::size_t slot) const {
    const std::size_t padded = is_gathered ? (first_output + slot / kernel) * stride + slot % kernel * dilation
                                           : first_output * stride + slot;
    return padded < pad ? extent : std::min(padded - pad, extent);
  }
};

struct Plan {
  WeightShape shape;
  ConvolutionGeometry geometry;
  std::size_t output_height, output_width;
  Axis y, x;
  bool is_pointwise;
  std::size_t taps, panels, panel_outputs;
  std::size_t weight_blocks, table_bytes;    // table_bytes: the most that a pixel has in one block
  std::size_t block_height, block_width;     // outputs of a block; of a 1×1 kernel all pixels are one row
  std::size_t blocks_down, blocks_across, images;
  std::size_t group_pixels;                  // outputs whose tables exist at once
  std::size_t chunk_panels, chunks;          // an item is a block of pixels and a chunk of panels
  std::size_t workers;

  std::size_t items() const { return images * blocks_down * blocks_across * chunks; }
  std::size_t block_pixels() const { return block_height * block_width; }
  std::size_t slots() const { return is_pointwise ? group_pixels : y.slots(block_height) * x.slots(block_width); }
  bool keeps_sums() const { return weight_blocks > 1; }
};

void plan_pointwise(std::size_t threads, Plan* p) {
  const std::size_t pixels = p->geometry.batch * p->output_height * p->output_width, panels = p->panels;
  const std::size_t wanted = threads == 1 ? 1 : threads * kItemsPerThread;
  p->images = p->blocks_down = p->block_height = 1;
  std::size_t width = std::min(pixels, kPointwiseBlockPixels);
  if (threads > 1) width = std::min(width, std::max(divide_up(pixels, wanted), kFewestPointwisePixels));
  p->blocks_across = divide_up(pixels, std::max<std::size_t>(width, 1));
  p->block_width = divide_up(pixels, p->blocks_across);
  p->blocks_across = divide_up(pixels, p->block_width);
  p->group_pixels = std::min(p->block_width, kPointwiseGroupPixels);
  const std::size_t most_panels = std::max<std::size_t>(kPointwiseOutputs / p->panel_outputs, 1);
  p->chunks = std::max(divide_up(panels, most_panels), std::min(panels, divide_up(wanted, p->blocks_across)));
}

void plan_windows(std::size_t threads, Plan* p) {
  const std::size_t wanted = threads == 1 ? 1 : threads * kItemsPerThread;
  std::size_t height = p->output_height, width = p->output_width;
  const auto bytes = [&] { return p->y.slots(height) * p->x.slots(width) * p->table_bytes; };
  while (height > 1 && bytes() > kBlockTableBytes) --height;
  while (width > kTableTilePixels && bytes() > kBlockTableBytes) --width;
  p->images = p->geometry.batch;
  p->blocks_down = divide_up(p->output_height, height);
  p->blocks_across = divide_up(p->output_width, width);
  p->block_height = divide_up(p->output_height, p->blocks_down);
  p->block_width = divide_up(p->output_width, p->blocks_across);
  p->blocks_down = divide_up(p->output_height, p->block_height);
  p->blocks_across = divide_up(p->output_width, p->block_width);
  p->group_pixels = p->block_pixels();
  p->chunks = std::min(p->panels, divide_up(wanted, p->images * p->blocks_down * p->blocks_across));
}

Axis axis_of(std::size_t stride, std::size_t dilation, std::size_t kernel, std::size_t pad, std::size_t extent) {
  Axis axis{stride, dilation, kernel, pad, extent, false};
  axis.is_gathered = kernel < stride || (kernel > 1 && dilation > 2);
  return axis;
}

Plan make_plan(const TableLayout& layout, const PackedWeights& weights, const ConvolutionGeometry& g, std::size_t threads) {
  Plan p{};
  const WeightShape& s = weights.shape;
  p.shape = s;
  p.geometry = g;
  p.output_height = output_height(g, s);
  p.output_width = output_width(g, s);
  p.y = axis_of(g.stride_height, g.dilation_height, s.kernel_height, g.pad_top, g.height);
  p.x = axis_of(g.stride_width, g.dilation_width, s.kernel_width, g.pad_left, g.width);
  p.taps = tap_count(s);
  p.is_pointwise = p.taps == 1;
  p.panel_outputs = layout.panel_outputs;
  p.panels = divide_up(s.output_channels, layout.panel_outputs);
  p.weight_blocks = layout.block_count(weights);
  for (std::size_t i = 0; i < p.weight_blocks; ++i) {
    const TableBlock block = layout.block(weights, i);
    p.table_bytes = std::max(p.table_bytes, block.units * block.table_bytes);
  }
  const std::size_t at_once = std::max<std::size_t>(threads, 1);
  p.is_pointwise ? plan_pointwise(at_once, &p) : plan_windows(at_once, &p);
  p.chunk_panels = divide_up(p.panels, p.chunks);
  p.chunks = divide_up(p.panels, p.chunk_panels);
  p.workers = std::min(at_once, p.items());
  return p;
}

// Memory that all workers read.
struct Shared {
  std::int32_t* start;
  float* multiplier;
  std::uint8_t* zero_pixel;
};

Shared take_shared(const Plan& p, ScratchArena* arena) {
  Shared s{};
  s.start = arena->take<std::int32_t>(p.panels * p.panel_outputs);
  s.multiplier = arena->take<float>(p.panels * p.panel_outputs);
  s.zero_pixel = arena->take<std::uint8_t>(p.shape.depth);
  return s;
}

// Memory of one worker.
struct Workspace {
  std::uint8_t* tables;
  std::ptrdiff_t* offsets;
  std::int32_t* sums;
};

Workspace take_workspace(const Plan& p, std::size_t most_units, ScratchArena* arena) {
  Workspace w{};
  w.tables = arena->take<std::uint8_t>(p.slots() * p.table_bytes);
  w.offsets = arena->take<std::ptrdiff_t>(most_units * p.taps);
  w.sums = arena->take<std::int32_t>(p.keeps_sums() ? p.block_pixels() * p.chunk_panels * p.panel_outputs
                                                    : kTableTilePixels * p.panel_outputs);
  return w;
}

std::size_t most_units(const TableLayout& layout, const PackedWeights& weights) {
  std::size_t most = 1;
  for (std::size_t i = 0; i < layout.block_count(weights); ++i) most = std::max(most, layout.block(weights, i).units);
  return most;
}

// Everything that a call is about.
struct Call {
  Plan plan;
  TableLayout layout;
  const TableMicrokernels* kernels;
  const PackedWeights* weights;
  const ConvolutionInput* input;
  PreparedStage stage;
  const std::uint8_t* residual;
  void* output;
  Shared shared;
  std::uint8_t* workspaces;
  std::size_t workspace_bytes;
  std::atomic<std::size_t> next_worker, next_item;
};

// Sums start from the bias, from what a zero point in place of 0 adds, and from what unsigned tables add.
void fill_shared(const Call& c, const OutputStage& stage) {
  const std::size_t outputs = c.plan.shape.output_channels, padded = c.plan.panels * c.plan.panel_outputs;
  const auto* sign_offsets = reinterpret_cast<const std::int32_t*>(c.weights->payload);
  for (std::size_t oc = 0; oc < outputs; ++oc) {
    const std::uint32_t bias = stage.bias == nullptr ? 0 : static_cast<std::uint32_t>(stage.bias[oc]);
    const std::uint32_t shift = c.input->zero_point * static_cast<std::uint32_t>(c.weights->column_sums[oc]);
    c.shared.start[oc] = static_cast<std::int32_t>(bias - shift - static_cast<std::uint32_t>(sign_offsets[oc]));
  }
  std::fill(c.shared.start + outputs, c.shared.start + padded, 0);
  std::fill(c.shared.multiplier, c.shared.multiplier + padded, 0.0f);
  if (stage.kind != OutputKind::s32) std::memcpy(c.shared.multiplier, stage.multiplier, outputs * sizeof(float));
  std::memset(c.shared.zero_pixel, c.input->zero_point, c.plan.shape.depth);
}

// A block of output pixels of one image and a chunk of panels. Of a 1×1 kernel pixels are numbered through all images.
struct Item {
  std::size_t image, first_y, first_x, height, width, first_panel, panels;

  std::size_t pixels() const { return height * width; }
};

Item item_of(const Plan& p, std::size_t index) {
  Item item{};
  item.first_x = index % p.blocks_across * p.block_width;
  index /= p.blocks_across;
  item.first_y = index % p.blocks_down * p.block_height;
  index /= p.blocks_down;
  item.image = index % p.images;
  item.first_panel = index / p.images * p.chunk_panels;
  const std::size_t all = p.geometry.batch * p.output_height * p.output_width;
  item.height = p.is_pointwise ? 1 : std::min(p.block_height, p.output_height - item.first_y);
  item.width = std::min(p.block_width, (p.is_pointwise ? all : p.output_width) - item.first_x);
  item.panels = std::min(p.chunk_panels, p.panels - item.first_panel);
  return item;
}

const std::uint8_t* input_at(const Call& c, std::size_t image, std::size_t y, std::size_t x) {
  const ConvolutionGeometry& g = c.plan.geometry;
  if (y >= g.height || x >= g.width) return c.shared.zero_pixel;
  return c.input->values + ((image * g.height + y) * g.width + x) * c.plan.shape.depth;
}

// The input pixel of slot `slot` of a group that begins at output `first` of the item.
const std::uint8_t* input_of_slot(const Call& c, const Item& item, std::size_t first, std::size_t slot) {
  const Plan& p = c.plan;
  if (p.is_pointwise) {
    const std::size_t pixel = item.first_x + first + slot, row = pixel / p.output_width;
    return input_at(c, row / p.output_height, p.y.input(row % p.output_height, 0), p.x.input(pixel % p.output_width, 0));
  }
  const std::size_t columns = p.x.slots(p.block_width);
  return input_at(c, item.image, p.y.input(item.first_y, slot / columns), p.x.input(item.first_x, slot % columns));
}

void build_tables(const Call& c, const Item& item, const TableBlock& block, std::size_t first, std::size_t slots,
                  std::uint8_t* tables) {
  const std::size_t stride = block.units * block.table_bytes;
  for (std::size_t done = 0; done < slots; done += kBuildPixels) {
    const std::uint8_t* inputs[kBuildPixels];
    const std::size_t count = std::min(kBuildPixels, slots - done);
    for (std::size_t i = 0; i < count; ++i) inputs[i] = input_of_slot(c, item, first, done + i) + block.first_input;
    for (std::size_t unit = 0; unit < block.units; ++unit) {
      const std::size_t left = c.plan.shape.depth - block.first_input - unit * block.unit_inputs;
      c.kernels->build(block.unit, {inputs, count, std::min(left, block.unit_inputs),
                                    tables + done * stride + unit * block.table_bytes, stride});
      for (std::size_t i = 0; i < count && unit + 1 < block.units; ++i) inputs[i] += block.unit_inputs;
    }
  }
}

// Bytes from a pixel's tables at its first tap to those of each step.
void fill_offsets(const Plan& p, const TableBlock& block, std::ptrdiff_t* offsets) {
  const std::size_t stride = block.units * block.table_bytes, columns = p.is_pointwise ? 0 : p.x.slots(p.block_width);
  for (std::size_t unit = 0; unit < block.units; ++unit) {
    for (std::size_t tap = 0; tap < p.taps; ++tap) {
      const std::size_t row = tap / p.shape.kernel_width * p.y.tap_step(), column = tap % p.shape.kernel_width * p.x.tap_step();
      offsets[unit * p.taps + tap] = static_cast<std::ptrdiff_t>((row * columns + column) * stride + unit * block.table_bytes);
    }
  }
}

OutputTile output_of(const Call& c, const Item& item, std::size_t pixel, std::size_t panel) {
  const Plan& p = c.plan;
  const std::size_t row = p.shape.output_channels, first = panel * p.panel_outputs;
  const std::size_t y = item.first_y + pixel / item.width, x = item.first_x + pixel % item.width;
  const std::size_t index = p.is_pointwise ? item.first_x + pixel : (item.image * p.output_height + y) * p.output_width + x;
  const OutputTile whole{&c.stage, c.shared.multiplier, c.residual, c.output, row, row};
  OutputTile tile = advance(whole, index, first);
  tile.multiplier = c.shared.multiplier + first;
  tile.channels = std::min(row - first, p.panel_outputs);
  return tile;
}

// Neighbouring output pixels, all in one row of the item.
struct Tile {
  std::size_t first, pixels;
};

// One call of `look_up`, and of `finish` after the last block of weights.
void compute_tile(const Call& c, const Item& item, const Workspace& w, const TableBlock& block, std::size_t block_index,
                  std::size_t group_first, std::size_t panel, const Tile& tile) {
  const Plan& p = c.plan;
  const std::size_t stride = block.units * block.table_bytes;
  const std::uint8_t* tables[kTableTilePixels];
  for (std::size_t i = 0; i < tile.pixels; ++i) {
    const std::size_t pixel = tile.first + i, y = pixel / item.width, x = pixel % item.width;
    const std::size_t slot = p.is_pointwise
                                 ? pixel - group_first
                                 : y * p.y.output_step() * p.x.slots(p.block_width) + x * p.x.output_step();
    tables[i] = w.tables + slot * stride;
  }
  const std::size_t row = item.panels * p.panel_outputs;
  const std::size_t sums_stride = p.keeps_sums() ? row : p.panel_outputs;
  std::int32_t* const sums = p.keeps_sums() ? w.sums + tile.first * row + (panel - item.first_panel) * p.panel_outputs : w.sums;
  const std::int32_t* const start = block_index == 0 ? c.shared.start + panel * p.panel_outputs : nullptr;
  const std::uint8_t* const indices = c.weights->payload + block.offset + panel * block.panel_bytes;
  c.kernels->look_up(block.unit,
                     {tables, tile.pixels, w.offsets, block.units * p.taps, indices, start, sums, sums_stride});
  if (block_index + 1 == p.weight_blocks) {
    c.kernels->finish(sums, sums_stride, tile.pixels, output_of(c, item, tile.first, panel));
  }
}

void compute_group(const Call& c, const Item& item, const Workspace& w, const TableBlock& block, std::size_t block_index,
                   std::size_t first, std::size_t pixels) {
  const Plan& p = c.plan;
  build_tables(c, item, block, first, p.is_pointwise ? pixels : p.y.slots(item.height) * p.x.slots(p.block_width), w.tables);
  // Outputs of neighbouring rows lie side by side only where a block is as wide as the image.
  const std::size_t run = p.is_pointwise || p.blocks_across == 1 ? pixels : item.width, tiles = divide_up(run, kTableTilePixels);
  for (std::size_t panel = item.first_panel; panel < item.first_panel + item.panels; ++panel) {
    for (std::size_t t = 0; t < pixels / run * tiles; ++t) {
      const std::size_t from = t / tiles * run, begin = run * (t % tiles) / tiles, end = run * (t % tiles + 1) / tiles;
      compute_tile(c, item, w, block, block_index, first, panel, {first + from + begin, end - begin});
    }
  }
}

void compute_item(const Call& c, const Item& item, const Workspace& w) {
  for (std::size_t b = 0; b < c.plan.weight_blocks; ++b) {
    const TableBlock block = c.layout.block(*c.weights, b);
    fill_offsets(c.plan, block, w.offsets);
    for (std::size_t first = 0; first < item.pixels(); first += c.plan.group_pixels) {
      compute_group(c, item, w, block, b, first, std::min(c.plan.group_pixels, item.pixels() - first));
    }
  }
}

void work(void* context, std::size_t) noexcept {
  Call& c = *static_cast<Call*>(context);
  ScratchArena arena(c.workspaces + c.next_worker++ * c.workspace_bytes);
  const Workspace w = take_workspace(c.plan, most_units(c.layout, *c.weights), &arena);
  for (std::size_t i = c.next_item++; i < c.plan.items(); i = c.next_item++) compute_item(c, item_of(c.plan, i), w);
}

std::size_t workspace_bytes(const TableLayout& layout, const PackedWeights& weights, const Plan& plan) {
  ScratchArena arena(nullptr);
  take_workspace(plan, most_units(layout, weights), &arena);
  return arena.used();
}

}  // namespace

std::size_t table_scratch_bytes(const TableLayout& layout, const PackedWeights& weights, const ConvolutionGeometry& geometry,
                                std::size_t threads) noexcept {
  const Plan plan = make_plan(layout, weights, geometry, threads);
  ScratchArena arena(nullptr);
  take_shared(plan, &arena);
  return arena.used() + plan.workers * workspace_bytes(layout, weights, plan);
}

Status run_table_convolution(const TableLayout& layout, const TableMicrokernels& kernels, const PackedWeights& weights,
                             const ConvolutionGeometry& geometry, const ConvolutionInput& input, const OutputStage& stage,
                             void* output, std::uint8_t* scratch, const Parallel& parallel) noexcept {
  if (input.max_code > layout.max_code || input.zero_point > layout.max_code) return Status::unsupported;
  Call c{};
  c.plan = make_plan(layout, weights, geometry, parallel.threads);
  c.layout = layout;
  c.kernels = &kernels;
  c.weights = &weights;
  c.input = &input;
  c.stage = prepare_stage(stage);
  c.residual = c.stage.adds ? stage.residual.values : nullptr;
  c.output = output;
  ScratchArena arena(scratch);
  c.shared = take_shared(c.plan, &arena);
  c.workspaces = scratch + arena.used();
  c.workspace_bytes = workspace_bytes(layout, weights, c.plan);
  fill_shared(c, stage);
  parallel_for(parallel, c.plan.workers, work, &c);
  return Status::ok;
}

}  // namespace tritforge
