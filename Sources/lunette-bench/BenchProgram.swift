// lunette-bench: timings of the engine's parts, one line of JSON each, for ratios against another program.

import ArgumentParser
import Backends
import Foundation

@main
struct BenchProgram: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lunette-bench",
    abstract: "Time the engine's parts. Every measurement prints one line of JSON.",
    subcommands: [
      StepBench.self, TileBench.self, EpochBench.self, OperationsBench.self, ConvolutionBench.self,
      NormBench.self, LossBench.self, AugmentationBench.self, ExportBench.self,
    ])

  static func main() {
    shortenThreadSpinning()
    self.main(nil)
  }
}

/// Seconds that `body` takes.
func seconds(_ body: () throws -> Void) rethrows -> Double {
  try ContinuousClock().measure(body) / .seconds(1)
}

/// Stops the parsing of options that have to be at least 1 and are not.
func requirePositive(_ options: KeyValuePairs<String, Int>) throws {
  for (name, value) in options where value < 1 {
    throw ValidationError("\(name) takes a whole number from 1, not \(value)")
  }
}

func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

/// The most memory this process ever had resident.
/// - Units: MiB
func peakResidentMemory() -> Int {
  var usage = rusage()
  getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
  return usage.ru_maxrss >> 10
}
