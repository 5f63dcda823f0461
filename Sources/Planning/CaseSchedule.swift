// The order in which cases are worked on, so that their memory fits the machine: the largest first.

import Foundation
import Synchronization
import Tensors

/// Runs cases in parallel as far as their predicted memory fits.
package struct CaseSchedule: Sendable {
  /// Predicted bytes of every case.
  package let bytes: [Int]
  /// What the cases that run at the same time may take together.
  package let limit: Int
  /// How many cases run at the same time at most.
  package let workerCount: Int

  package init(
    bytes: [Int], limit: Int, workerCount: Int = ProcessInfo.processInfo.activeProcessorCount
  ) {
    self.bytes = bytes
    self.limit = limit
    self.workerCount = max(1, min(workerCount, bytes.count))
  }

  /// The largest sum of cases that run at the same time.
  package var predictedPeak: Int {
    var peak = 0
    for (place, size) in bytes.sorted(by: >).enumerated()
    where place < workerCount && (place == 0 || peak + size <= limit) { peak += size }
    return peak
  }

  /// Calls `body` once with the index of every case; one that never fits runs alone.
  package func run(_ body: @Sendable (Int) -> Void) {
    let queue = CaseQueue(
      pending: bytes.indices.sorted { (bytes[$0], $1) > (bytes[$1], $0) }, bytes: bytes, limit: limit)
    parallelFor(workerCount) { _ in
      while let index = queue.next() {
        body(index)
        queue.finish(index)
      }
    }
  }

  /// Memory in bytes that the system says can be taken, else half of what the machine has.
  package static func availableMemory() -> Int {
    if let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }),
      let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    {
      return kibibytes * 1024
    }
    return Int(ProcessInfo.processInfo.physicalMemory / 2)
  }
}

/// The cases that wait, and the memory of those that run.
private final class CaseQueue: @unchecked Sendable {
  // SAFETY: `pending` and `used` are only touched while `condition` is locked.
  private let condition = NSCondition()
  private var pending: [Int]
  private var used = 0
  private let bytes: [Int]
  private let limit: Int

  init(pending: [Int], bytes: [Int], limit: Int) {
    self.pending = pending
    self.bytes = bytes
    self.limit = limit
  }

  /// Waits for the largest case that fits; `nil` when none is left.
  func next() -> Int? {
    condition.lock()
    defer { condition.unlock() }
    while !pending.isEmpty {
      if let place = pending.firstIndex(where: { used == 0 || used + bytes[$0] <= limit }) {
        let index = pending.remove(at: place)
        used += bytes[index]
        return index
      }
      condition.wait()
    }
    return nil
  }

  func finish(_ index: Int) {
    condition.lock()
    used -= bytes[index]
    condition.broadcast()
    condition.unlock()
  }
}
