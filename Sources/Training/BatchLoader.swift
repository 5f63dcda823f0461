// Makes batches ahead of their use on background threads. What is in them is decided by BatchRecipe alone.

import Dispatch
import Foundation
package import Reporting
import Synchronization

/// Hands out the batches of consecutive iterations, prepared in the background.
///
/// One caller takes batches; any thread may stop the loader.
package final class BatchLoader: Sendable {
  private let shared: Shared
  private let threadCount: Int
  private let cancellation: CancellationFlag

  /// Starts preparing batches.
  ///
  /// - Parameters:
  ///   - recipe: what is in the batches.
  ///   - iterationsPerEpoch: after how many batches the next epoch begins.
  ///   - epoch: the epoch of the first batch.
  ///   - iteration: the iteration of the first batch within that epoch.
  ///   - threadCount: background threads; 0 makes each batch when it is asked for.
  ///   - queueDepth: batches that may lie ready or be in the making.
  ///   - cancellation: ends waiting when set.
  package init(
    _ recipe: BatchRecipe, iterationsPerEpoch: Int, startingAt epoch: Int = 0, iteration: Int = 0,
    threadCount: Int = 1,
    queueDepth: Int = 4, cancellation: CancellationFlag = CancellationFlag()
  ) {
    precondition(
      iterationsPerEpoch > 0 && threadCount >= 0 && queueDepth > 0, "a loader needs positive counts")
    shared = Shared(
      recipe, iterationsPerEpoch: iterationsPerEpoch, first: epoch * iterationsPerEpoch + iteration)
    self.threadCount = threadCount
    self.cancellation = cancellation
    // Started at 0 and raised: a semaphore may not be released below the value it was made with.
    for _ in 0..<queueDepth { shared.freePlaces.signal() }
    for _ in 0..<threadCount {
      let thread = Thread { [shared] in shared.work() }
      thread.name = "batch loader"
      thread.start()
    }
  }

  deinit { stop() }

  /// The next batch; throws what went wrong in its making, ``Cancelled`` after a stop.
  package func next() throws -> TrainingBatch {
    try cancellation.check()
    if threadCount == 0 { return try shared.makeNextNow(cancellation) }
    while true {
      if let batch = try shared.takeNext() {
        shared.freePlaces.signal()
        return batch
      }
      // The wait is short so that a cancellation is noticed.
      _ = shared.finished.wait(timeout: .now() + .milliseconds(100))
      try cancellation.check()
    }
  }

  /// Ends the background threads and waits for them; batches not yet taken are dropped.
  package func stop() {
    guard shared.requestStop() else { return }
    for _ in 0..<threadCount { shared.freePlaces.signal() }
    for _ in 0..<threadCount { shared.ended.wait() }
  }
}

/// What the caller and the threads share; it outlives the loader until the last thread has ended.
private final class Shared: Sendable {
  struct State {
    var nextToMake: Int
    var nextToTake: Int
    var isStopped = false
    var ready: [Int: Result<TrainingBatch, any Error>] = [:]
  }

  let freePlaces = DispatchSemaphore(value: 0)
  let finished = DispatchSemaphore(value: 0)
  let ended = DispatchSemaphore(value: 0)
  private let recipe: BatchRecipe
  private let iterationsPerEpoch: Int
  private let state: Mutex<State>

  init(_ recipe: BatchRecipe, iterationsPerEpoch: Int, first: Int) {
    self.recipe = recipe
    self.iterationsPerEpoch = iterationsPerEpoch
    state = Mutex(State(nextToMake: first, nextToTake: first))
  }

  /// A thread's life: places are taken in order, so the batch waited for is always in the making.
  func work() {
    defer { ended.signal() }
    while true {
      freePlaces.wait()
      let number = state.withLock { state -> Int? in
        if state.isStopped { return nil }
        state.nextToMake += 1
        return state.nextToMake - 1
      }
      guard let number else { return }
      let result = Result { try make(number) { state.withLock { $0.isStopped } } }
      state.withLock { $0.ready[number] = result }
      finished.signal()
    }
  }

  func makeNextNow(_ cancellation: CancellationFlag) throws -> TrainingBatch {
    let (number, isStopped) = state.withLock { ($0.nextToTake, $0.isStopped) }
    if isStopped { throw Cancelled() }
    let batch = try make(number) { cancellation.isCancelled }
    state.withLock { $0.nextToTake += 1 }
    return batch
  }

  /// The next batch if it is ready.
  ///
  /// A failure stays where it is, so that asking again fails again.
  func takeNext() throws -> TrainingBatch? {
    try state.withLock { state in
      if state.isStopped { throw Cancelled() }
      guard let result = state.ready[state.nextToTake] else { return nil }
      let batch = try result.get()
      state.ready[state.nextToTake] = nil
      state.nextToTake += 1
      return batch
    }
  }

  /// Whether this call is the one that stops.
  func requestStop() -> Bool {
    state.withLock { state in
      if state.isStopped { return false }
      state.isStopped = true
      return true
    }
  }

  private func make(_ number: Int, isStopped: () -> Bool) throws -> TrainingBatch {
    try recipe.batch(
      epoch: number / iterationsPerEpoch, iteration: number % iterationsPerEpoch, isStopped: isStopped)
  }
}
