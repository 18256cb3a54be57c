// Times every shape of a plan and prints one JSON object per line: what runs, then for each shape its candidates and absences.
//
//   kernels-bench PLAN ORT_LIBRARY ISA GROUP_SIZE BUDGET_MS CORE PEERS EVERY_LAYOUT
//
// ISA may be "best"; CORE −1 is wherever the system likes; PEERS is what names of oneDNN's candidates must contain.
#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>

#include "dnnl_peers.h"
#include "ort_peers.h"
#include "own_candidates.h"
#include "timing.h"

namespace {

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return result + '"';
}

std::string json(const bench::Summary& summary) {
  char text[160];
  std::snprintf(text, sizeof text, R"({"minimumUs":%.4f,"medianUs":%.4f,"samples":%zu})", 1e6 * summary.minimum,
                1e6 * summary.median, summary.samples);
  return text;
}

void print(const std::string& shape, const bench::Lineup& lineup, const std::vector<bench::Timing>& timings) {
  for (std::size_t i = 0; i < timings.size(); ++i) {
    const bench::Candidate& candidate = lineup.candidates[i];
    const std::string cold = timings[i].cold ? json(*timings[i].cold) : "null";
    std::printf(R"({"shape":%s,"candidate":%s,"detail":%s,"warm":%s,"cold":%s})"
                "\n",
                quoted(shape).c_str(), quoted(candidate.name).c_str(), quoted(candidate.detail).c_str(),
                json(timings[i].warm).c_str(), cold.c_str());
  }
  for (const bench::Absence& absence : lineup.absences) {
    std::printf(R"({"shape":%s,"candidate":%s,"absent":%s})"
                "\n",
                quoted(shape).c_str(), quoted(absence.name).c_str(), quoted(absence.reason).c_str());
  }
  std::fflush(stdout);
}

void pin(int core) {
  if (core < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(core), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) throw std::runtime_error("no such core");
}

tritforge::Isa isa_of(const std::string& name) {
  if (name == "best") return tritforge::best_isa();
  for (const tritforge::Isa isa : tritforge::kAllIsas) {
    if (name != tritforge::isa_name(isa)) continue;
    if (tritforge::isa_is_built(isa) && tritforge::cpu_has(isa)) return isa;
    throw std::runtime_error(name + ": not built, or this processor has no such instructions");
  }
  throw std::runtime_error("no instruction set is called " + name);
}

void run(char** arguments) {
  const double budget_seconds = std::atof(arguments[5]) / 1e3;
  pin(std::atoi(arguments[6]));
  const bench::OwnOptions own{isa_of(arguments[3]), static_cast<std::size_t>(std::atol(arguments[4])),
                               std::atoi(arguments[8]) != 0};
  bench::OnnxRuntime ort(arguments[2]);
  std::printf(R"({"ort":%s,"oneDnn":%s,"isa":%s})"
              "\n",
              quoted(ort.version()).c_str(), quoted(bench::dnnl_version()).c_str(),
              quoted(tritforge::isa_name(own.isa)).c_str());
  std::ifstream plan(arguments[1]);
  std::optional<bench::CacheFlusher> flusher;
  for (const bench::Shape& shape : bench::read_plan(plan)) {
    bench::Lineup lineup;
    ort.add_candidates(shape, lineup);
    bench::add_dnnl_candidates(shape, arguments[7], lineup);
    bench::add_own_candidates(shape, own, lineup);
    if (shape.cold && !flusher) flusher.emplace();
    print(shape.id, lineup, bench::time_interleaved(lineup.candidates, budget_seconds, shape.cold ? &*flusher : nullptr));
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 9) {
    std::fprintf(stderr, "usage: %s PLAN ORT_LIBRARY ISA GROUP_SIZE BUDGET_MS CORE PEERS EVERY_LAYOUT\n", arguments[0]);
    return 2;
  }
  try {
    run(arguments);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
