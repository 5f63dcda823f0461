// The store on disk: patches, fill values, restart, identical bytes.

import Archives
import Datasets
import Foundation
import Planning
import Preprocessing
import Reporting
import Tensors
import TestSupport
import Testing
import Volumes

@Suite struct PreprocessedStoreTests {
  private func arrays() -> PreprocessedArrays {
    let count = 4 * 5 * 6
    return PreprocessedArrays(
      data: NDArray(shape: [2, 4, 5, 6], elements: (0..<2 * count).map(Float.init)),
      segmentation: NDArray(shape: [4, 5, 6], elements: (0..<count).map { Int16($0 % 7) - 1 }),
      properties: CaseProperties(
        spacing: [1, 2, 3], geometry: ImageGeometry(spacing: [1, 2, 3]), shapeBeforeCropping: [4, 5, 6],
        boundingBox: BoundingBox(lower: [0, 0, 0], upper: [4, 5, 6])),
      foregroundLocations: ForegroundLocations([
        (.label(1), NDArray(shape: [2, 3], elements: [0, 1, 2, 3, 4, 5])),
        (.region([2, 3]), NDArray(shape: [0, 3], elements: [])),
        (.annotated, NDArray(shape: [1, 3], elements: [1, 1, 1])),
      ]))
  }

  private func withStore(_ body: (PreprocessedStore) throws -> Void) throws {
    let folder = try Goldens.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    try body(PreprocessedStore(folder: folder.appending(path: "plans_3d.lunette")))
  }

  @Test("What is written is read back, locations and properties included")
  func roundTrip() throws {
    try withStore { store in
      #expect(store.identifiers().isEmpty)
      try store.write(arrays(), identifier: "b", settings: "s")
      try store.write(arrays(), identifier: "a", settings: "s")
      #expect(store.identifiers() == ["a", "b"])
      let stored = try store.open("a")
      #expect(stored.shape == [4, 5, 6])
      #expect(stored.channelCount == 2)
      #expect(stored.wholeImage() == arrays().data)
      #expect(stored.wholeSegmentation() == arrays().segmentation)
      #expect(stored.properties == arrays().properties)
      #expect(stored.foregroundLocations == arrays().foregroundLocations)
      #expect(try Data(contentsOf: store.url(of: "a")) == Data(contentsOf: store.url(of: "b")))
    }
  }

  @Test(
    "A patch may reach beyond the case on any side or lie outside",
    arguments: [
      BoundingBox(lower: [1, 1, 2], upper: [3, 4, 5]), BoundingBox(lower: [-2, -1, -3], upper: [6, 7, 9]),
      BoundingBox(lower: [3, 4, 5], upper: [8, 6, 7]), BoundingBox(lower: [-5, -5, -5], upper: [-1, 2, 3]),
      BoundingBox(lower: [9, 0, 0], upper: [10, 2, 2]),
    ])
  func patches(box: BoundingBox) throws {
    try withStore { store in
      try store.write(arrays(), identifier: "a", settings: "s")
      let stored = try store.open("a")
      let image = stored.readImage(box: box, fill: -7)
      let labels = stored.readSegmentation(box: box)
      #expect(image.shape == [2] + box.shape)
      #expect(labels.shape == box.shape)
      for channel in 0..<2 {
        for z in 0..<box.shape[0] {
          for y in 0..<box.shape[1] {
            for x in 0..<box.shape[2] {
              let position = [z + box.lower[0], y + box.lower[1], x + box.lower[2]]
              let isInside = (0..<3).allSatisfy { position[$0] >= 0 && position[$0] < stored.shape[$0] }
              let data = arrays().data
              let segmentation = arrays().segmentation
              #expect(
                image[channel, z, y, x]
                  == (isInside ? data.elements[data.offset(of: [channel] + position)] : -7))
              #expect(
                labels[z, y, x] == (isInside ? segmentation.elements[segmentation.offset(of: position)] : -1))
            }
          }
        }
      }
    }
  }

  @Test("A missing case names the closest one")
  func missing() throws {
    try withStore { store in
      try store.write(arrays(), identifier: "brain_001", settings: "s")
      let error = #expect(throws: Diagnostic.self) { try store.open("brain_0001") }
      #expect(error?.found?.contains("brain_001") == true)
    }
  }

  @Test("A case is up to date only with the same settings and older sources")
  func upToDate() throws {
    try withStore { store in
      let source = store.folder.deletingLastPathComponent().appending(path: "raw.bin")
      try Data([1]).write(to: source)
      try store.write(arrays(), identifier: "a", settings: "s")
      #expect(store.isUpToDate("a", settings: "s", sources: [source]))
      #expect(!store.isUpToDate("a", settings: "t", sources: [source]))
      #expect(!store.isUpToDate("b", settings: "s", sources: [source]))
      try FileManager.default.setAttributes(
        [.modificationDate: Date(timeIntervalSinceNow: 60)], ofItemAtPath: source.path)
      #expect(!store.isUpToDate("a", settings: "s", sources: [source]))
    }
  }

  @Test("A file that is no preprocessed case is refused")
  func foreign() throws {
    try withStore { store in
      let entry = SafetensorsEntry("data", NDArray<Float>(shape: [1], elements: [0]))
      try SafetensorsFile.write([entry], to: store.url(of: "a"))
      #expect(throws: Diagnostic.self) { try store.open("a") }
    }
  }
}

@Suite(.enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
struct DatasetPreprocessingTests {
  @Test("A dataset is preprocessed once, beside nnU-Net's folder, and only changed cases again")
  func restart() throws {
    let folder = try Goldens.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let name = "Dataset804_PhantomOblique"
    let dataset = try RawDataset(folder: Goldens.path("golden/raw/\(name)"))
    let plans = try Plans(contentsOf: Goldens.path("golden/preprocessed/\(name)/nnUNetPlans.json"))
    let roots = DatasetRoots(preprocessed: folder)
    func run() throws -> PreprocessingReport {
      try preprocessDataset(dataset: dataset, plans: plans, configuration: "3d_fullres", roots: roots)
    }
    let count = try dataset.cases().count
    let first = try run()
    #expect((first.writtenCount, first.keptCount) == (count, 0))

    let store = PreprocessedStore(folder: folder.appending(path: "\(name)/nnUNetPlans_3d_fullres.lunette"))
    #expect(store.identifiers() == (try dataset.cases().map(\.identifier)))
    let labels = try FileManager.default.contentsOfDirectory(
      atPath: folder.appending(path: "\(name)/gt_segmentations").path)
    #expect(labels.count == count)
    #expect(try store.open("ob_000").foregroundLocations.keys == [.label(1), .label(2), .annotated])

    let bytes = try Data(contentsOf: store.url(of: "ob_001"))
    try store.remove("ob_001")
    try Data([0]).write(to: store.url(of: "gone"))
    let second = try run()
    #expect((second.writtenCount, second.keptCount) == (1, count - 1))
    #expect(try Data(contentsOf: store.url(of: "ob_001")) == bytes)
    #expect(!store.identifiers().contains("gone"))
  }

  @Test("A request to stop ends the run before the next case")
  func cancellation() throws {
    let folder = try Goldens.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let name = "Dataset804_PhantomOblique"
    let flag = CancellationFlag()
    flag.cancel()
    #expect(throws: Cancelled.self) {
      try preprocessDataset(
        dataset: RawDataset(folder: Goldens.path("golden/raw/\(name)")),
        plans: Plans(contentsOf: Goldens.path("golden/preprocessed/\(name)/nnUNetPlans.json")),
        configuration: "2d", roots: DatasetRoots(preprocessed: folder), cancellation: flag)
    }
  }
}
