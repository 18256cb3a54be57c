// What is timed: one way of computing one shape.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace bench {

struct Candidate {
  std::string name;           // the column of the table, such as "ort int8"
  std::string detail;         // what ran in fact, such as the name of a kernel; may be empty
  std::function<void()> run;  // owns what it needs; throws std::runtime_error
};

// A candidate that should have been there.
struct Absence {
  std::string name;
  std::string reason;
};

struct Lineup {
  std::vector<Candidate> candidates;
  std::vector<Absence> absences;
};

}  // namespace bench
