// Whether a training fits the memory there is, asked before it starts, and what to do when it does not.

import Archives
import Backends
import Datasets
import Foundation
import Planning
import Reporting
import Tensors

/// How much memory may be taken.
package struct MemoryCap: Sendable, Equatable {
  package var byteCount: Int
  /// What sets the limit, for error texts.
  package var origin: String

  /// A limit of the user's.
  package init(gigabytes: Double) {
    byteCount = Int(gigabytes * 1e9)
    origin = "--memory-cap"
  }

  /// What the system says can be taken, within the limit of the control group that the process runs in.
  package static func ofMachine() -> MemoryCap {
    var cap = MemoryCap(gigabytes: 0)
    cap.byteCount = available() ?? Int(ProcessInfo.processInfo.physicalMemory)
    cap.origin = "the machine's available memory"
    if let limit = number(in: "/sys/fs/cgroup/memory.max") {
      let rest = limit - (number(in: "/sys/fs/cgroup/memory.current") ?? 0)
      if rest < cap.byteCount {
        cap.byteCount = max(rest, 0)
        cap.origin = "the memory limit of the container"
      }
    }
    return cap
  }

  private static func available() -> Int? {
    let text = (try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
    return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
  }

  private static func number(in path: String) -> Int? {
    (try? String(contentsOfFile: path, encoding: .utf8)).flatMap {
      Int($0.trimmingCharacters(in: .whitespacesAndNewlines))
    }
  }
}

extension TrainingWorkload {
  /// Throws, with advice that was worked out, if the training would need more memory than there is.
  package func require(fitsInto cap: MemoryCap, canUseBFloat16: Bool) throws {
    let memory = try TrainingMemory(self)
    guard memory.neededByteCount > cap.byteCount else { return }
    let largest = memory.parts.max { $0.byteCount < $1.byteCount }
    throw Diagnostic(
      "the training does not fit the memory", at: "configuration \(configuration.name)",
      expected: "at most \(gigabytes(cap.byteCount)), \(cap.origin)",
      found: "about \(gigabytes(memory.neededByteCount)) predicted for a batch of \(configuration.batchSize)"
        + (largest.map { ", most of it for \($0.name)" } ?? ""),
      remedy: try advice(cap, canUseBFloat16: canUseBFloat16))
  }

  /// The mildest changes that make the training fit.
  private func advice(_ cap: MemoryCap, canUseBFloat16: Bool) throws -> String {
    var ways: [String] = []
    if precision == .float32, canUseBFloat16 {
      var half = self
      half.precision = .bfloat16
      let needed = try TrainingMemory(half).neededByteCount
      if needed <= cap.byteCount { ways.append("--precision bf16 needs \(gigabytes(needed))") }
    }
    var batchSize = configuration.batchSize
    while batchSize > 1 {
      batchSize /= 2
      let needed = try TrainingMemory(with(batchSize: batchSize)).neededByteCount
      guard needed <= cap.byteCount else { continue }
      ways.append(
        "a batch of \(batchSize) needs \(gigabytes(needed)): plan_experiment --set "
          + "\(configuration.name).batch_size=\(batchSize) -overwrite_plans_name NAME")
      break
    }
    ways.append("plan a smaller patch with -gpu_memory_target")
    return ways.joined(separator: "; or ")
  }

  private func with(batchSize: Int) throws -> TrainingWorkload {
    var object = configuration.json
    object["batch_size"] = .integer(batchSize)
    var copy = self
    copy.configuration = try PlannedConfiguration(name: configuration.name, resolved: object, source: "plans")
    return copy
  }

  private func gigabytes(_ byteCount: Int) -> String { String(format: "%.2f GB", Double(byteCount) / 1e9) }
}
