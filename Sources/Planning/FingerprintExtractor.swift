// Measures a dataset: spacings, cropped sizes and foreground intensities, sampled exactly as nnU-Net samples them.

import Archives
import CKernels
package import Datasets
package import Foundation
package import Reporting
import Synchronization
import Tensors
import VolumeFormats
import Volumes

/// Extracts the fingerprint of a raw dataset.
///
/// Cases are read in parallel, the largest first and as many as fit into memory; the samples take 400 MB at the
/// default count, one channel at a time.
package struct FingerprintExtractor: Sendable {
  package let dataset: RawDataset
  /// Foreground samples over all cases, per channel.
  ///
  /// - Source: nnU-Net.
  package let sampleCount: Int
  /// What the cases that are read at the same time may take together, in bytes.
  package let memoryLimit: Int
  /// Seed of every case's draws.
  ///
  /// - Source: nnU-Net.
  private static let seed: UInt32 = 1234

  package init(dataset: RawDataset, sampleCount: Int = 100_000_000, memoryLimit: Int? = nil) {
    self.dataset = dataset
    self.sampleCount = sampleCount
    self.memoryLimit = memoryLimit ?? CaseSchedule.availableMemory() / 10 * 7
  }

  /// Reads the fingerprint of a preprocessed dataset folder, or measures and saves it; `clean` always measures.
  ///
  /// What is measured of a case is kept in the folder until all are done, so that a run that was stopped goes on.
  package func extract(
    into preprocessedFolder: URL, clean: Bool = false, progress: any ProgressSink = SilentProgress(),
    cancellation: CancellationFlag = CancellationFlag()
  ) throws -> DatasetFingerprint {
    let url = preprocessedFolder.appending(path: DatasetFingerprint.fileName)
    let notes = CaseMeasurementStore(
      folder: preprocessedFolder.appending(path: CaseMeasurementStore.folderName))
    if !clean, FileManager.default.fileExists(atPath: url.path) {
      progress.note("using the fingerprint that is there: \(url.path)")
      // Left by a run that was killed between its last two steps.
      notes.removeAll()
      return try DatasetFingerprint(contentsOf: url)
    }
    return try removingEmptyFolders(preprocessedFolder) {
      try requireWritableFolder(preprocessedFolder)
      let fingerprint = try extract(keepingIn: notes, progress: progress, cancellation: cancellation)
      try fingerprint.write(to: url)
      notes.removeAll()
      return fingerprint
    }
  }

  /// Measures the dataset.
  package func extract(
    progress: any ProgressSink = SilentProgress(), cancellation: CancellationFlag = CancellationFlag()
  ) throws -> DatasetFingerprint {
    try extract(keepingIn: nil, progress: progress, cancellation: cancellation)
  }

  private func extract(
    keepingIn notes: CaseMeasurementStore?, progress: any ProgressSink, cancellation: CancellationFlag
  ) throws -> DatasetFingerprint {
    let cases = try dataset.cases()
    let channelCount = dataset.description.channelNames.count
    let perCase = sampleCount / max(cases.count, 1)
    let samples = try SampleBuffer(count: perCase * cases.count)
    progress.begin("fingerprint", total: cases.count)
    let state = Mutex((results: [DrawnCase?](repeating: nil, count: cases.count), count: 0))
    let failure = FirstFailure()
    CaseSchedule(bytes: cases.map(estimatedBytes), limit: memoryLimit).run { index in
      if failure.happened { return }
      do {
        try cancellation.check()
        var drawn = DrawnCase(
          try measurement(of: cases[index], notes), random: NumPyRandom(seed: Self.seed))
        drawn.draw(channel: 0, into: samples.part(index, of: cases.count))
        state.withLock { state in
          state.results[index] = drawn
          state.count += 1
          progress.update(completed: state.count, detail: cases[index].identifier)
        }
      } catch {
        failure.record(error, index: index)
      }
    }
    progress.end()
    try failure.rethrow()
    var drawn = state.withLock { $0.results }.compactMap(\.self)
    let hasForeground = drawn.map(\.measurement.hasForeground)
    var intensities: [IntensityStatistics] = []
    for channel in 0..<channelCount {
      try cancellation.check()
      if channel > 0 {
        let before = drawn
        drawn = try parallelMap(before.count) { index in
          var next = before[index]
          next.draw(channel: channel, into: samples.part(index, of: before.count))
          return next
        }
      }
      intensities.append(try aggregate(samples.samples, hasForeground, perCase: perCase))
    }
    return DatasetFingerprint(
      spacings: drawn.map(\.measurement.spacing), shapesAfterCrop: drawn.map(\.measurement.shapeAfterCrop),
      foregroundIntensities: intensities,
      medianRelativeSizeAfterCropping: median(drawn.map(\.measurement.relativeSize)))
  }

  /// A case with the state of its generator between channels.
  private struct DrawnCase: Sendable {
    let measurement: CaseMeasurement
    private var random: NumPyRandom

    init(_ measurement: CaseMeasurement, random: NumPyRandom) {
      self.measurement = measurement
      self.random = random
    }

    mutating func draw(channel: Int, into target: UnsafeMutableBufferPointer<Float>) {
      guard measurement.hasForeground else { return }
      measurement.withForeground(channel) { random.draw(from: $0, into: target) }
    }
  }

  /// Measures a case, or takes what was measured of the same files before.
  private func measurement(of raw: RawCase, _ notes: CaseMeasurementStore?) throws -> CaseMeasurement {
    let stamp = CaseMeasurementStore.stamp(of: raw, description: dataset.description)
    if let known = notes?.read(raw.identifier, stamp: stamp) { return known }
    let measured = try measure(raw)
    guard let notes else { return measured }
    try notes.write(measured, raw.identifier, stamp: stamp)
    // What lies in the file need not lie in memory.
    return notes.read(raw.identifier, stamp: stamp) ?? measured
  }

  private func measure(_ raw: RawCase) throws -> CaseMeasurement {
    let loaded = try readCase(raw, channelCount: dataset.description.channelNames.count)
    if let labels = loaded.labels { try requireDeclared(labels, of: raw, in: dataset.description.labels) }
    // Holes do not move the box, and foreground labels are never overwritten: only the box is needed of cropping.
    let channels = loaded.channels.map(\.voxels)
    let box = nonzeroBox(of: channels)
    let shape = loaded.shape
    var foreground: [[Float]] = []
    for (channel, image) in channels.enumerated() {
      let values = labelledValues(image, loaded.labels?.voxels, box: box)
      let nanCount = values.count { $0.isNaN }
      if nanCount > 0 {
        throw Diagnostic(
          "an image has NaN in its foreground",
          at: raw.images[min(channel, raw.images.count - 1)].path,
          expected: "finite intensities", found: "\(nanCount) NaN voxels",
          remedy: "replace NaN in the image, by 0 for example; verify_dataset --fix does so in a copy")
      }
      foreground.append(values)
    }
    return CaseMeasurement(
      spacing: loaded.geometry.spacing, shapeAfterCrop: box.shape,
      relativeSize: Double(box.shape.reduce(1, *)) / Double(shape.reduce(1, *)), foreground: foreground)
  }

  /// What reading a case takes at most: its channels as floats, its labels, and one file on its way to them.
  private func estimatedBytes(_ raw: RawCase) -> Int {
    guard let url = raw.images.first, let information = try? readImageInformation(url) else { return 0 }
    return information.shape.reduce(1, *) * (dataset.description.channelNames.count * 4 + 2 + 8)
  }

  /// The values of labelled voxels within the box, in C order.
  private func labelledValues(_ image: NDArray<Float>, _ labels: NDArray<Int16>?, box: BoundingBox) -> [Float]
  {
    guard let labels else { return [] }
    let width = box.upper[2] - box.lower[2]
    return image.elements.withUnsafeBufferPointer { values in
      labels.elements.withUnsafeBufferPointer { labels in
        guard let values = values.baseAddress, let labels = labels.baseAddress else { return [] }
        var rows: [Int] = []
        for z in box.lower[0]..<box.upper[0] {
          for y in box.lower[1]..<box.upper[1] {
            rows.append((z &* image.shape[1] &+ y) &* image.shape[2] &+ box.lower[2])
          }
        }
        let count = rows.reduce(0) { $0 + nnk_count_labelled(labels + $1, width) }
        return [Float](unsafeUninitializedCapacity: count + 1) { packed, initializedCount in
          guard var target = packed.baseAddress else { return }
          for row in rows { target += nnk_pack_labelled(values + row, labels + row, width, target) }
          initializedCount = count
        }
      }
    }
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
