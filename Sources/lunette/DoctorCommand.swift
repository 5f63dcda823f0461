// doctor: what the program was built with and what it finds on this machine.

import ArgumentParser
import Foundation

/// Prints compiler, libraries, CPU, threads and memory.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Show compiler, libraries, CPU features, threads and memory.")

  func run() {
    let report = MachineReport.current()
    let width = report.entries.map(\.name.count).max() ?? 0
    for entry in report.entries {
      Console.print(entry.name.padding(toLength: width + 2, withPad: " ", startingAt: 0) + entry.value)
    }
  }
}
