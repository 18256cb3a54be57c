// Times candidates against each other in one thread.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "candidate.h"

namespace bench {

// Seconds of one run.
struct Summary {
  double minimum;
  double median;
  std::size_t samples;
};

struct Timing {
  Summary warm;
  std::optional<Summary> cold;
};

// Reads memory of four times the last cache, so that nothing else is left in any cache.
class CacheFlusher {
 public:
  CacheFlusher();
  void flush() const;

 private:
  std::vector<char> memory_;
};

// One result per candidate. Every round takes one sample of each; the order rotates and turns around. A warm sample follows a run of
// the same candidate and repeats it until the sample is long enough for the clock; a cold one is a single run after a flush. The
// clock counts the time of this thread alone, so what other programs take of the core is left out.
std::vector<Timing> time_interleaved(const std::vector<Candidate>& candidates, double budget_seconds_each,
                                     const CacheFlusher* flusher);

}  // namespace bench
