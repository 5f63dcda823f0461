// The store of preprocessed cases as a source of patches. Each case's file is mapped once and kept open.

package import Preprocessing
import Synchronization
import Tensors
import Volumes

/// Some cases of a store, for one fold.
package final class PreprocessedPatchSource: PatchSource {
  package let identifiers: [String]
  private let store: PreprocessedStore
  private let previousStage: PreviousStageStore?
  private let opened = Mutex(OpenedCases())

  /// Takes the cases of a fold; they are opened when first drawn.
  ///
  /// `previousStage` holds what a cascade's first stage predicted of each of them.
  package init(
    _ store: PreprocessedStore, identifiers: [String], previousStage: PreviousStageStore? = nil
  ) {
    self.store = store
    self.previousStage = previousStage
    self.identifiers = identifiers.sorted()
  }

  package func open(_ identifier: String) throws -> any PatchCase {
    if let known = opened.withLock({ $0.cases[identifier] }) { return known }
    let preprocessed = try store.open(identifier)
    let fresh = OpenedCase(
      preprocessed, previousStage: try previousStage?.open(identifier, shape: preprocessed.shape))
    opened.withLock { $0.add(fresh, as: identifier) }
    return fresh
  }
}

/// The cases opened last, as many as their foreground locations leave room for.
private struct OpenedCases {
  /// Many classes times many cases would fill the memory; 128 MiB hold all locations of most datasets.
  static let locationBudget = 32 << 20  // Int32 numbers

  var cases: [String: OpenedCase] = [:]
  private var order: [String] = []
  private var locationCount = 0

  mutating func add(_ fresh: OpenedCase, as identifier: String) {
    guard cases.updateValue(fresh, forKey: identifier) == nil else { return }
    order.append(identifier)
    locationCount += fresh.locationCount
    while locationCount > Self.locationBudget, order.count > 1 {
      locationCount -= cases.removeValue(forKey: order.removeFirst())?.locationCount ?? 0
    }
  }
}

/// A mapped case with its candidates sorted out once.
private struct OpenedCase: PatchCase {
  let preprocessed: PreprocessedCase
  let previousStage: PreviousStageCase?
  let foregroundCandidates: [ForegroundCandidates]

  init(_ preprocessed: PreprocessedCase, previousStage: PreviousStageCase?) {
    self.preprocessed = preprocessed
    self.previousStage = previousStage
    let locations = preprocessed.foregroundLocations
    foregroundCandidates = locations.keys.map {
      ForegroundCandidates(coversAllAnnotated: $0 == .annotated, voxels: locations[$0])
    }
  }

  var locationCount: Int { foregroundCandidates.reduce(0) { $0 + $1.voxels.count } }
  var shape: [Int] { preprocessed.shape }
  var channelCount: Int { preprocessed.channelCount }
  func readImage(in box: BoundingBox) -> NDArray<Float> { preprocessed.readImage(box: box) }
  func readSegmentation(in box: BoundingBox) -> NDArray<Int16> { preprocessed.readSegmentation(box: box) }
  func readPreviousStage(in box: BoundingBox) -> NDArray<Int16>? { previousStage?.read(box: box, fill: -1) }
}
