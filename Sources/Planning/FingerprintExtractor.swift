// Measures a dataset: spacings, cropped sizes and foreground intensities, sampled exactly as nnU-Net samples them.

import Archives
package import Datasets
package import Foundation
package import Reporting
import Synchronization
import Tensors
import Volumes

/// Extracts the fingerprint of a raw dataset.
///
/// Cases are read in parallel, one per core at a time; the samples take 400 MB per channel at the default count.
package struct FingerprintExtractor: Sendable {
  package let dataset: RawDataset
  /// Foreground samples over all cases, per channel.
  ///
  /// - Source: nnU-Net.
  package let sampleCount: Int
  /// Seed of every case's draws.
  ///
  /// - Source: nnU-Net.
  private static let seed: UInt32 = 1234

  package init(dataset: RawDataset, sampleCount: Int = 100_000_000) {
    self.dataset = dataset
    self.sampleCount = sampleCount
  }

  /// Reads the fingerprint of a preprocessed dataset folder, or measures and saves it; `clean` always measures.
  package func extract(
    into preprocessedFolder: URL, clean: Bool = false, progress: any ProgressSink = SilentProgress(),
    cancellation: CancellationFlag = CancellationFlag()
  ) throws -> DatasetFingerprint {
    let url = preprocessedFolder.appending(path: DatasetFingerprint.fileName)
    if !clean, FileManager.default.fileExists(atPath: url.path) {
      progress.note("using the fingerprint that is there: \(url.path)")
      return try DatasetFingerprint(contentsOf: url)
    }
    try requireWritableFolder(preprocessedFolder)
    let fingerprint = try extract(progress: progress, cancellation: cancellation)
    try fingerprint.write(to: url)
    return fingerprint
  }

  /// Measures the dataset.
  package func extract(
    progress: any ProgressSink = SilentProgress(), cancellation: CancellationFlag = CancellationFlag()
  ) throws -> DatasetFingerprint {
    let cases = try dataset.cases()
    let channelCount = dataset.description.channelNames.count
    let perCase = sampleCount / max(cases.count, 1)
    let buffer = try SampleBuffer(count: perCase * cases.count * channelCount)
    nonisolated(unsafe) let samples = buffer.samples
    progress.begin("fingerprint", total: cases.count)
    let completed = Atomic<Int>(0)
    let failure = FirstFailure()
    let measured = try parallelMap(cases.count) { i -> CaseMeasurement? in
      if failure.happened { return nil }
      do {
        try cancellation.check()
        let targets = (0..<channelCount).map { channel -> UnsafeMutableBufferPointer<Float> in
          let start = (channel * cases.count + i) * perCase
          return UnsafeMutableBufferPointer(rebasing: samples[start..<(start + perCase)])
        }
        let result = try measure(cases[i], into: targets)
        progress.update(
          completed: completed.add(1, ordering: .relaxed).newValue, detail: cases[i].identifier)
        return result
      } catch {
        failure.record(error, index: i)
        return nil
      }
    }
    progress.end()
    try failure.rethrow()
    let intensities = try (0..<channelCount).map { channel in
      let start = channel * cases.count * perCase
      let part = UnsafeMutableBufferPointer(rebasing: samples[start..<(start + cases.count * perCase)])
      return try aggregate(part, measured.map { $0?.hasForeground ?? false }, perCase: perCase)
    }
    let measurements = measured.compactMap(\.self)
    return DatasetFingerprint(
      spacings: measurements.map(\.spacing), shapesAfterCrop: measurements.map(\.shapeAfterCrop),
      foregroundIntensities: intensities,
      medianRelativeSizeAfterCropping: median(measurements.map(\.relativeSize)))
  }

  private struct CaseMeasurement: Sendable {
    var spacing: [Double]
    var shapeAfterCrop: [Int]
    var relativeSize: Double
    var hasForeground: Bool
  }

  private func measure(
    _ raw: RawCase, into targets: [UnsafeMutableBufferPointer<Float>]
  ) throws -> CaseMeasurement {
    let loaded = try readCase(raw, channelCount: targets.count)
    if let labels = loaded.labels { try requireDeclared(labels, of: raw, in: dataset.description.labels) }
    // Holes do not move the box, and foreground labels are never overwritten: only the box is needed of cropping.
    let box = nonzeroBox(of: loaded.images)
    let shape = Array(loaded.images.shape.dropFirst())
    let foreground = foregroundOffsets(loaded.labels?.voxels.elements ?? [], shape: shape, box: box)
    if !foreground.isEmpty {
      var random = NumPyRandom(seed: Self.seed)
      let voxelCount = shape.reduce(1, *)
      for (channel, target) in targets.enumerated() {
        let values = loaded.images.elements.withUnsafeBufferPointer { images in
          foreground.map { images[channel &* voxelCount &+ $0] }
        }
        if values.contains(where: \.isNaN) {
          throw Diagnostic(
            "an image has NaN in its foreground", at: raw.images[min(channel, raw.images.count - 1)].path,
            expected: "finite intensities",
            found: "\(values.count { $0.isNaN }) NaN voxels",
            remedy: "replace NaN in the image, by 0 for example")
        }
        values.withUnsafeBufferPointer { random.draw(from: $0, into: target) }
      }
    }
    return CaseMeasurement(
      spacing: loaded.geometry.spacing, shapeAfterCrop: box.shape,
      relativeSize: Double(box.shape.reduce(1, *)) / Double(shape.reduce(1, *)),
      hasForeground: !foreground.isEmpty)
  }

  /// Positions of labelled voxels within the box, in C order.
  private func foregroundOffsets(_ labels: [Int16], shape: [Int], box: BoundingBox) -> [Int] {
    var offsets: [Int] = []
    labels.withUnsafeBufferPointer { labels in
      for z in box.lower[0]..<box.upper[0] {
        for y in box.lower[1]..<box.upper[1] {
          let row = (z &* shape[1] &+ y) &* shape[2]
          for i in (row &+ box.lower[2])..<(row &+ box.upper[2]) where labels[i] > 0 { offsets.append(i) }
        }
      }
    }
    return offsets
  }

  /// The statistics of one channel; cases without foreground have left their part of `samples` unused.
  private func aggregate(
    _ samples: UnsafeMutableBufferPointer<Float>, _ hasForeground: [Bool], perCase: Int
  ) throws -> IntensityStatistics {
    var count = 0
    for (i, isUsed) in hasForeground.enumerated() where isUsed {
      if count != i * perCase, let base = samples.baseAddress {
        (base + count).update(from: base + i * perCase, count: perCase)
      }
      count += perCase
    }
    guard count > 0 else {
      throw Diagnostic(
        "the dataset has no foreground at all", at: dataset.folder.path,
        expected: "at least one labelled voxel in one case", found: "only background in every case",
        remedy: "check that labelsTr holds the right files")
    }
    // NumPy joins an empty list with float32 arrays to float64.
    return try SampleStatistics(
      UnsafeBufferPointer(rebasing: samples[..<count]), inDoublePrecision: hasForeground.contains(false)
    ).intensities()
  }
}

/// The failure of the first case, by order of cases, that failed in a parallel loop.
final class FirstFailure: Sendable {
  private let state = Mutex<(index: Int, error: any Error)?>(nil)

  var happened: Bool { state.withLock { $0 != nil } }

  func record(_ error: any Error, index: Int) {
    state.withLock { state in
      if state.map({ index < $0.index }) ?? true { state = (index, error) }
    }
  }

  func rethrow() throws {
    if let error = state.withLock({ $0?.error }) { throw error }
  }
}
