// What doctor prints, gathered: the versions that the owning targets tell, and what Linux says of the machine.

import Archives
import Backends
import Figures
import Foundation
import LuaHost
import Scripting
import VolumeFormats

/// Named facts about the program and the machine.
struct MachineReport {
  var entries: [(name: String, value: String)] = []

  /// Looks around.
  static func current() -> MachineReport {
    let facts = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let memory = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
    let libraries = [
      LuaHost.LibraryVersions.all, Scripting.LibraryVersions.all, Archives.LibraryVersions.all,
      VolumeFormats.LibraryVersions.all, Backends.LibraryVersions.all, Figures.LibraryVersions.all,
    ].joined()
    var report = MachineReport()
    report.entries = [("lunette", Version.number), ("compiler", compiler)]
    report.entries += libraries.map { ($0.name, $0.version) }
    report.entries += [
      ("CPU", value(of: "model name", in: facts) ?? "unknown"),
      ("CPU features", cpuFeatures(in: facts)),
      ("threads", "\(ProcessInfo.processInfo.activeProcessorCount)\(threadSetting)"),
      (
        "memory",
        "\(gibibytes("MemTotal", in: memory)), of which \(gibibytes("MemAvailable", in: memory)) available"
      ),
      ("GPU", gpu),
    ]
    return report
  }

  /// The Swift version that this file was compiled with, as far as the language tells.
  private static var compiler: String {
    #if compiler(>=6.4)
      "Swift 6.4 or newer"
    #elseif compiler(>=6.3)
      "Swift 6.3"
    #else
      "Swift 6.2"
    #endif
  }

  private static var threadSetting: String {
    guard let setting = ProcessInfo.processInfo.environment["OMP_NUM_THREADS"] else { return "" }
    return " (OMP_NUM_THREADS=\(setting))"
  }

  /// The first value of a `key : value` file of Linux.
  static func value(of key: String, in text: String) -> String? {
    for line in text.split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 1)
      guard parts.count == 2, parts[0].trimmingCharacters(in: .whitespaces) == key else { continue }
      return parts[1].trimmingCharacters(in: .whitespaces)
    }
    return nil
  }

  /// The vector extensions that the engine cares about, each with yes or no.
  static func cpuFeatures(in facts: String) -> String {
    let flags = Set((value(of: "flags", in: facts) ?? "").split(separator: " ").map(String.init))
    return ["avx2", "avx512f", "avx512_bf16"].map { "\($0) \(flags.contains($0) ? "yes" : "no")" }
      .joined(separator: ", ")
  }

  private static func gibibytes(_ key: String, in memory: String) -> String {
    guard let text = value(of: key, in: memory)?.split(separator: " ").first, let kibibytes = Double(text)
    else {
      return "unknown"
    }
    return "\((kibibytes / 1_048_576 * 10).rounded() / 10) GiB"
  }

  /// Whether there is a GPU, and why it is not used.
  private static var gpu: String {
    let driverIsLoaded = FileManager.default.fileExists(atPath: "/proc/driver/nvidia/version")
    return driverIsLoaded
      ? "an NVIDIA driver is loaded, but this version computes on the CPU only"
      : "none found: no NVIDIA driver is loaded (/proc/driver/nvidia is absent)"
  }
}
