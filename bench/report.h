// bench/report.h: the figures as the tables of bench/README.md.

#ifndef RECURVE_BENCH_REPORT_H_
#define RECURVE_BENCH_REPORT_H_

#include <string>
#include <string_view>

#include "bench/figures.h"
#include "bench/targets.h"

namespace recurve::bench {

// Markdown: the limits, then one row a point; points of which nothing was measured are left out.
std::string Report(const Figures& figures, const Targets& targets);

// `text` with everything between the lines `<!-- NAME: written by ./dev bench -->` and `<!-- end of NAME -->` replaced;
// empty if it does not have both, in this order.
std::string ReplaceBetweenMarkers(std::string_view text, std::string_view name, std::string_view replacement);

}  // namespace recurve::bench

#endif  // RECURVE_BENCH_REPORT_H_
