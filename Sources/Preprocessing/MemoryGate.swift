// Keeps the cases that are worked on at the same time within the machine's memory.

import Foundation

/// Lets work begin while its estimated memory fits; work that never fits runs alone.
final class MemoryGate: @unchecked Sendable {
  // SAFETY: `used` is only touched while `condition` is locked.
  private let condition = NSCondition()
  private var used = 0
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  /// A gate for part of the memory that is free now.
  convenience init() { self.init(limit: Self.availableBytes() / 10 * 6) }

  /// Waits until `bytes` fit, runs the work and gives the memory back.
  func run<T>(needing bytes: Int, _ work: () throws -> T) rethrows -> T {
    condition.lock()
    while used > 0, used + bytes > limit { condition.wait() }
    used += bytes
    condition.unlock()
    defer {
      condition.lock()
      used -= bytes
      condition.broadcast()
      condition.unlock()
    }
    return try work()
  }

  /// What the system says is available, else half of what the machine has.
  static func availableBytes() -> Int {
    if let text = try? String(contentsOfFile: "/proc/meminfo", encoding: .utf8),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("MemAvailable:") }),
      let kibibytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    {
      return kibibytes * 1024
    }
    return Int(ProcessInfo.processInfo.physicalMemory / 2)
  }
}
