// Which cases run together, and what that takes.

import Planning
import Synchronization
import Testing

@Suite struct CaseScheduleTests {
  @Test("The peak is that of the largest cases that fit together")
  func peak() {
    #expect(CaseSchedule(bytes: [3, 9, 5, 1], limit: 100, workerCount: 2).predictedPeak == 14)
    #expect(CaseSchedule(bytes: [3, 9, 5, 1], limit: 100, workerCount: 1).predictedPeak == 9)
    #expect(CaseSchedule(bytes: [3, 9, 5, 1], limit: 12, workerCount: 2).predictedPeak == 9)
    #expect(CaseSchedule(bytes: [], limit: 12, workerCount: 2).predictedPeak == 0)
  }

  @Test("Every case runs once, the largest first, and never more than fits", arguments: [1, 2, 4])
  func runs(workerCount: Int) {
    let bytes = [3, 9, 5, 1, 7, 7, 2, 30]
    let seen = Mutex((order: [Int](), used: 0, peak: 0))
    CaseSchedule(bytes: bytes, limit: 12, workerCount: workerCount).run { index in
      seen.withLock {
        $0.order.append(index)
        $0.used += bytes[index]
        if bytes[index] < 12 { $0.peak = max($0.peak, $0.used) }
      }
      seen.withLock { $0.used -= bytes[index] }
    }
    let result = seen.withLock { $0 }
    #expect(result.order.sorted() == Array(bytes.indices))
    #expect(result.order[0] == 7)
    #expect(result.peak <= 12)
    if workerCount == 1 { #expect(result.order == [7, 1, 4, 5, 2, 0, 6, 3]) }
  }
}
