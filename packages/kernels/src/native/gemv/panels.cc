#include "gemv/panels.h"

#include <cstring>

namespace tritforge {
namespace {

// Work below which other threads are not worth waking, in bytes of weights times tiles of rows.
constexpr std::size_t kSerialBytes = 1 << 20;
// More tasks than threads, so that one that is interrupted does not hold up all.
constexpr std::size_t kTasksPerThread = 4;

// Panels between two calls of `finish`, where all rows are one tile. Otherwise one: it is to stay in the first caches
// for all tiles.
constexpr std::size_t kPanelsAtOnce = 8;

struct Split {
  const GemvProduct& product;
  std::size_t panels, row_stride, correction_stride, row_tiles, tasks;
};

void multiply_tile(const Split& split, std::size_t begin, std::size_t end, std::size_t row, std::size_t rows) {
  const GemvProduct& p = split.product;
  const GemvPlan& plan = *p.plan;
  alignas(64) std::int32_t sums[kGemvMaxTileRows * kPanelsAtOnce * kGemvPanel];
  const std::size_t sums_stride = (end - begin) * kGemvPanel;
  for (std::size_t panel = begin; panel < end; ++panel) {
    p.method->tile[rows - 1][panel_blocks(plan, panel) - 1](
        {p.payload + panel_offset(plan, panel), plan.main, plan.tail, p.arranged + row * split.row_stride,
         split.row_stride, p.corrections + row * split.correction_stride, split.correction_stride,
         sums + (panel - begin) * kGemvPanel, sums_stride});
  }
  const std::size_t first = begin * kGemvPanel,
                    last = end * kGemvPanel < plan.outputs ? end * kGemvPanel : plan.outputs;
  for (std::size_t i = 0; i < rows; ++i) p.finish(p.context, sums + i * sums_stride, row + i, first, last - first);
}

void multiply_some(void* context, std::size_t task) noexcept {
  const Split& split = *static_cast<const Split*>(context);
  const std::size_t end = split.panels * (task + 1) / split.tasks, all = split.product.rows;
  const std::size_t at_once = split.row_tiles == 1 ? kPanelsAtOnce : 1;
  for (std::size_t panel = split.panels * task / split.tasks; panel < end; panel += at_once) {
    const std::size_t next = end - panel < at_once ? end : panel + at_once;
    std::size_t row = 0;
    for (std::size_t left = split.row_tiles; left > 0; --left) {
      const std::size_t rows = left == 1 ? all - row : (all - row + left - 1) / left;
      multiply_tile(split, panel, next, row, rows);
      row += rows;
    }
  }
}

// Puts activations that lie in the order of the inputs in that of the streams.
void arrange(const GemvPlan& plan, const std::int8_t* inputs, std::int8_t* arranged) {
  for (std::size_t quad = 0; quad < plan_quads(plan); ++quad) {
    const std::size_t length = 4 * quad_steps(plan, quad);
    for (std::size_t stream = 0; stream < kGemvStreams; ++stream, arranged += length) {
      const InputRange range = stream_inputs(plan, quad, stream);
      const std::size_t count = range.end - range.begin;
      std::memcpy(arranged, inputs + range.begin, count);
      std::memset(arranged + count, 0, length - count);
    }
  }
}

}  // namespace

bool keeps_order(const GemvPlan& plan) noexcept {
  const bool in_main = plan.segment == 4 * plan.main.steps && plan.group == plan.segments_per_group * plan.segment;
  const bool in_tail = plan.tail.quads == 0 || plan.segment == 4 * kGemvStreams * plan.tail.steps;
  return (plan.main.quads == 0 || in_main) && in_tail;
}

void finish_row(const GemvKernels& kernels, const GemvMethod& method, const GemvPlan& plan,
                const std::int8_t* unordered, std::uint8_t* row, std::int32_t* corrections) noexcept {
  const std::size_t length = arranged_inputs(plan);
  auto* const signed_row = reinterpret_cast<std::int8_t*>(row);
  if (unordered == nullptr)
    std::memset(row + plan.depth, 0, length - plan.depth);
  else
    arrange(plan, unordered, signed_row);
  if (!method.takes_unsigned) return kernels.correct(signed_row, plan.main, plan.tail, corrections);
  for (std::size_t i = 0; i < length; ++i) row[i] ^= 0x80;
}

void multiply_panels(const GemvProduct& product, const Parallel& parallel) noexcept {
  const GemvPlan& plan = *product.plan;
  const std::size_t panels = panel_count(plan), wanted = parallel.threads * kTasksPerThread;
  const bool is_small = block_bytes(plan) * block_count(plan) * product.rows < kSerialBytes;
  const std::size_t tasks = is_small || parallel.threads < 2 ? 1 : wanted < panels ? wanted : panels;
  Split split{product,
              panels,
              gemv_row_stride(plan),
              gemv_correction_stride(plan),
              (product.rows + product.method->rows - 1) / product.method->rows,
              tasks};
  parallel_for(parallel, tasks, multiply_some, &split);
}

}  // namespace tritforge
